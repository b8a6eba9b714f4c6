"""Augmentation of what is trained on."""

import torch
from torch import Tensor


def random_shift(x: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Move each item as far as ``reach`` cells along either axis, its edge repeated (random shift, Kostrikov et al. 2021).

    Args:
        x: (B, ..., H, W); an item moves as one, so that what belongs together is stacked.
        reach: the farthest, in cells; 0 moves nothing.
        generator: decides where to.

    Returns:
        (B, ..., H, W).
    """
    offsets = torch.randint(-reach, reach + 1, (len(x), 2, 1), generator=generator)
    return torch.stack([_moved(item, *offset) for item, offset in zip(x, offsets, strict=True)])


def _moved(item: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """(..., H, W) with its content moved; what was outside is the nearest edge."""
    height, width = item.shape[-2:]
    rows = (torch.arange(height) - down).clamp(0, height - 1).to(item.device)
    columns = (torch.arange(width) - right).clamp(0, width - 1).to(item.device)
    return item[..., rows, :][..., columns]
