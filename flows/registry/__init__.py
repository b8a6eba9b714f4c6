"""MLflow's model registry: versions of what was trained, and which of them is in use."""
