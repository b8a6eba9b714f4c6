"""How good a generated video is: metrics on features, statistics over cells, and the report."""
