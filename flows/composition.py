"""An old module name, which compositions of version 0.1 contain. The module is now :mod:`flows.registry.serving`."""

from flows.registry.serving import _load_pyfunc

__all__ = ["_load_pyfunc"]
