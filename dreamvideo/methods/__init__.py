"""Customisation methods, one file each. This package imports every file in its folder, so no list needs a new method."""

import importlib
import pkgutil

from dreamvideo.methods.contract import methods

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["methods"]
