"""Train the pocket profile's models from the procedural world alone."""
