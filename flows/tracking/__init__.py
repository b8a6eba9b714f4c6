"""The MLflow store: the schema of all names, runs found by key, artifacts, scores, leases, provenance."""
