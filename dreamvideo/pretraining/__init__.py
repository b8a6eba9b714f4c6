"""Train the models of the pocket profile from the pocket world alone."""
