"""Datasets: the catalog, and reading and writing images and clips."""
