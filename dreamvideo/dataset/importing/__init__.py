"""Bring files into the dataset: subjects, motions, and the paper's own sources."""
