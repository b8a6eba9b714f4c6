"""The pocket world: code draws animals and objects that move through scenes, with exact masks and trajectories."""
