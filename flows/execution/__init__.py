"""Making what a plan holds: the data gate, adapters, cells, and where tasks run."""
