"""The quality of generated videos: metrics on features, statistics over cells, and the report."""
