"""The MLflow store: runs found by key, leases on them, artifacts, provenance."""
