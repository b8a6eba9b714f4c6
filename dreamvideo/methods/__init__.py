"""Customisation methods, one file each: a file added here is found by itself."""

import importlib
import pkgutil

from dreamvideo.methods.contract import methods

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["methods"]
