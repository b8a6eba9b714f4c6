"""Datasets: the catalog, images and clips, the data gate, and the procedural world they can be drawn from."""
