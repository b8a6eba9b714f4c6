"""The loader that compositions name which were registered by version 0.1; today's is :mod:`flows.registry.serving`."""

from flows.registry.serving import _load_pyfunc

__all__ = ["_load_pyfunc"]
