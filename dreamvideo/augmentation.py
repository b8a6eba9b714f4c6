"""Augmentation of training images."""

import torch
from torch import Tensor
from torch.nn import functional


def random_shift(images: Tensor, weights: Tensor, reach: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Move each image with its weights as far as ``reach`` cells along either axis (Kostrikov et al. 2021).

    The new cells at the edge repeat the edge and have weight 0.

    Args:
        images: (B, C, F, H, W).
        weights: (B, 1, F, H, W).
        reach: the farthest, in cells; 0 moves nothing.
        generator: of the random moves.

    Returns:
        Images and weights of the same shapes.
    """
    height, width = images.shape[-2:]
    corners = reach - torch.randint(-reach, reach + 1, (len(images), 2), generator=generator)

    def cropped(padded: Tensor) -> Tensor:
        places = zip(padded, corners.tolist(), strict=True)
        return torch.stack([item[..., top : top + height, left : left + width] for item, (top, left) in places])

    around = (reach,) * 4
    repeated = functional.pad(images, (*around, 0, 0), mode="replicate")
    return cropped(repeated), cropped(functional.pad(weights, around))
