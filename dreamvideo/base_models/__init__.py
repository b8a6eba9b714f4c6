"""Frozen video diffusion models that methods customise."""
