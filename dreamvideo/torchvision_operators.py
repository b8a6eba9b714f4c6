"""Let ``import torchvision`` succeed beside a CPU build of torch, which open_clip, timm and diffusers all need.

The torchvision wheel on PyPI is built for CUDA. Beside a CPU build of torch its library does not load, and its import
fails because two operators are not defined. It is enough to declare them: nothing here calls them. The declaration happens
at the first import of torchvision, so that importing this package costs nothing.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


class _BeforeTorchvision(MetaPathFinder):
    """A finder that finds nothing. It declares the operators when Python looks for torchvision."""

    library = None  # torch drops the declarations together with the object

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name != "torchvision" or self.library is not None:
            return
        import torch

        spec = PathFinder.find_spec(name, path)
        if spec is None or torch.version.cuda is not None:
            return
        for folder in spec.submodule_search_locations or ():
            for library in Path(folder).glob("_C*.so"):
                with suppress(OSError):  # a build for this torch defines its operators itself
                    torch.ops.load_library(library)
        if not hasattr(torch.ops.torchvision, "nms"):
            self.library = torch.library.Library("torchvision", "DEF")
            for operator in _OPERATORS:
                self.library.define(operator)


def declare_when_needed() -> None:
    """Register the finder, once."""
    if not any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())
