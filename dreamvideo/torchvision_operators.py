"""Let ``import torchvision`` succeed beside a CPU build of torch, which open_clip, timm and diffusers all need.

The registry's torchvision wheel is built for CUDA; on a CPU build of torch its import fails because two operators
it describes were never defined. Declaring them suffices: nothing here calls them. It is done at the moment
torchvision is first looked for, so that importing this package costs nothing.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


class _BeforeTorchvision(MetaPathFinder):
    """Finds nothing; declares the operators when torchvision is looked for."""

    library = None  # torch drops the declarations with the object

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name != "torchvision" or self.library is not None:
            return
        import torch

        if torch.version.cuda is None and not hasattr(torch.ops.torchvision, "nms"):
            self.library = torch.library.Library("torchvision", "DEF")
            for operator in _OPERATORS:
                self.library.define(operator)


def declare_when_needed() -> None:
    """Register the finder, once."""
    if not any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())
