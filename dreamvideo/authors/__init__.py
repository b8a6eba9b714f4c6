"""What DreamVideo's authors published: their base model and trained adapters, converted to this project's layout."""
