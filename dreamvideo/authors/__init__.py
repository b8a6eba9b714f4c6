"""The base model and the trained adapters that DreamVideo's authors published, converted to this project's layout."""
