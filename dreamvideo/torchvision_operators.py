"""Let ``import torchvision`` succeed beside a CPU build of torch: import this module before open_clip or timm.

The registry's torchvision wheel is built for CUDA; on a CPU build of torch its import fails because two operators
it describes were never defined. Declaring them suffices: nothing here calls them.
"""

import torch

_LIBRARY = None

if torch.version.cuda is None and not hasattr(torch.ops.torchvision, "nms"):
    _LIBRARY = torch.library.Library("torchvision", "DEF")
    _LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
