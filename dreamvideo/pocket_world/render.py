"""Draw frames of the world: from tensors that describe them to pixels and exact masks, on any device.

Shapes: N frames, S pixels a side. World coordinates are [-1, 1] squared, x to the right and y down.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dreamvideo.pocket_world.scenes import paint_scene
from dreamvideo.pocket_world.subjects import COAT, DARK, LIGHT, SECOND, coat_colour, draw_subject
from dreamvideo.pocket_world.vocabulary import CLASSES, SCENES

OUTLINE = 0.07  # thickness of the dark outline, in units of the subject's half width
INK = (0.10, 0.08, 0.10)
PAPER = (0.97, 0.96, 0.90)


@dataclass(frozen=True)
class Frames:
    """The content of N frames. The first axis of every field is N."""

    subject_class: Tensor  # (N,) index into CLASSES
    colour: Tensor  # (N, 3) first colour
    marking: Tensor  # (N,) index into MARKINGS
    marking_colour: Tensor  # (N, 3) second colour
    proportions: Tensor  # (N, 3) in [-1, 1]
    scene: Tensor  # (N,) index into SCENES
    scene_variation: Tensor  # (N, 3) in [-1, 1]
    position: Tensor  # (N, 2) centre of the subject
    size: Tensor  # (N,) half width of the subject
    angle: Tensor  # (N,) radians, clockwise on screen
    facing: Tensor  # (N,) +1 to the right, -1 to the left

    def select(self, index: Tensor) -> "Frames":
        """The frames at ``index``."""
        return Frames(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def render(frames: Frames, size: int) -> tuple[Tensor, Tensor]:
    """Draw frames.

    Args:
        frames: what N frames show.
        size: pixels a side.

    Returns:
        Pixels (N, 3, S, S) in [0, 1] and foreground masks (N, 1, S, S) in [0, 1] (coverage).
    """
    device = frames.size.device
    count = len(frames.size)
    axis = (torch.arange(size, device=device) + 0.5) * (2 / size) - 1
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    points = points.expand(count, size, size, 2)
    canvas = torch.empty(count, size, size, 3, device=device)
    mask = torch.empty(count, size, size, 1, device=device)
    for index, name in enumerate(SCENES):
        chosen = (frames.scene == index).nonzero()[:, 0]
        if len(chosen):
            canvas[chosen] = paint_scene[name](points[chosen], frames.scene_variation[chosen], 2 / size)
    for index, name in enumerate(CLASSES):
        chosen = (frames.subject_class == index).nonzero()[:, 0]
        if len(chosen):
            drawn = _draw(name, frames.select(chosen), points[chosen], canvas[chosen], 2 / size)
            canvas[chosen], mask[chosen] = drawn
    return canvas.clamp(0, 1).permute(0, 3, 1, 2), mask.permute(0, 3, 1, 2)


def _draw(name: str, frames: Frames, points: Tensor, canvas: Tensor, pixel: float) -> tuple[Tensor, Tensor]:
    """Draw subjects of one class over their canvases (N, S, S, 3); also return the masks (N, S, S, 1)."""
    local = _to_local(points, frames)
    edge = (pixel / frames.size)[:, None, None]

    def cover(distance: Tensor) -> Tensor:
        return (0.5 - distance / edge).clamp(0, 1)[..., None]

    parts = draw_subject[name](local, frames.proportions)
    silhouette = cover(torch.stack([distance for distance, _ in parts]).amin(dim=0) - OUTLINE)
    canvas = canvas * (1 - silhouette) + canvas.new_tensor(INK) * silhouette
    paints = {
        COAT: coat_colour(local, frames.marking, frames.colour, frames.marking_colour),
        SECOND: frames.marking_colour[:, None, None],
        DARK: canvas.new_tensor(INK),
        LIGHT: canvas.new_tensor(PAPER),
    }
    for distance, paint in parts:
        canvas = canvas + (paints[paint] - canvas) * cover(distance)
    return canvas, silhouette


def _to_local(points: Tensor, frames: Frames) -> Tensor:
    """World points (N, S, S, 2) in the subject's own coordinates."""
    offset = points - frames.position[:, None, None]
    cos, sin = frames.angle.cos()[:, None, None], frames.angle.sin()[:, None, None]
    x = cos * offset[..., 0] + sin * offset[..., 1]
    y = cos * offset[..., 1] - sin * offset[..., 0]
    return torch.stack((x * frames.facing[:, None, None], y), dim=-1) / frames.size[:, None, None, None]
