"""Signed distances of simple shapes, negative inside. Points are (..., 2), x to the right and y down."""

import torch
from torch import Tensor


def circle(points: Tensor, centre: tuple, radius: Tensor | float) -> Tensor:
    """Distance to a circle: (N, S, S, 2) -> (N, S, S)."""
    return (points - _at(points, centre)).norm(dim=-1) - radius


def ellipse(points: Tensor, centre: tuple, radii: tuple) -> Tensor:
    """Distance to an axis-aligned ellipse, to first order (exact on its outline)."""
    axes = _at(points, radii)
    offset = points - _at(points, centre)
    level = (offset / axes).norm(dim=-1)
    slope = (offset / axes.square()).norm(dim=-1).clamp_min(1e-6)
    return level * (level - 1) / slope


def box(points: Tensor, centre: tuple, half: tuple, rounding: float = 0.0) -> Tensor:
    """Distance to an axis-aligned box with rounded corners."""
    outside = (points - _at(points, centre)).abs() - _at(points, half) + rounding
    return outside.clamp_min(0).norm(dim=-1) + outside.amax(dim=-1).clamp_max(0) - rounding


def segment(points: Tensor, start: tuple, end: tuple, radius: float) -> Tensor:
    """Distance to a line segment of some thickness."""
    origin = _at(points, start)
    direction = _at(points, end) - origin
    along = ((points - origin) * direction).sum(-1) / direction.square().sum(-1)
    return (points - origin - along.clamp(0, 1)[..., None] * direction).norm(dim=-1) - radius


def polygon(points: Tensor, *corners: tuple) -> Tensor:
    """Distance to a convex polygon, corners clockwise on screen; exact inside, a lower bound at the corners outside."""
    ring = [_at(points, corner) for corner in corners]
    sides = []
    for start, end in zip(ring, [*ring[1:], ring[0]], strict=True):
        direction = end - start
        normal = torch.stack((direction[..., 1], -direction[..., 0]), dim=-1)
        sides.append(((points - start) * normal).sum(-1) / normal.norm(dim=-1))
    return torch.stack(sides).amax(dim=0)


def union(*distances: Tensor) -> Tensor:
    """Distance to the union of shapes."""
    return torch.stack(distances).amin(dim=0)


def _at(points: Tensor, pair: tuple) -> Tensor:
    """A coordinate pair, each a number or a tensor (N,), shaped to broadcast over (N, S, S, 2)."""
    columns = [torch.as_tensor(value, dtype=points.dtype, device=points.device) for value in pair]
    x, y = torch.broadcast_tensors(*columns)
    stacked = torch.stack((x, y), dim=-1)
    return stacked[:, None, None, :] if stacked.ndim == 2 else stacked
