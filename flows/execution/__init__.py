"""Makes what a plan holds: the data gate, adapters, cells, scores, and where tasks run."""
