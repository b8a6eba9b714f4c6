"""What the data must be like, and the check of it by Great Expectations."""
