"""A procedural world of animals and objects that move through scenes, with exact masks and trajectories."""
