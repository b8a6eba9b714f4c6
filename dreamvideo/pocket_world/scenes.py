"""The six scenes: a ground, a sky and one or two large features.

Points are (N, S, S, 2) over [-1, 1] squared; ``v`` is (N, 3) in [-1, 1]: horizon, place of the feature, tint.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dreamvideo.pocket_world.signed_distance import box, circle, ellipse
from dreamvideo.registry import Registry

Paint = Callable[[Tensor, Tensor, float], Tensor]
paint_scene: Registry[Paint] = Registry("scene")


def _cover(distance: Tensor, pixel: float) -> Tensor:
    """Coverage of a shape in [0, 1], smooth over one pixel: (N, S, S) -> (N, S, S, 1)."""
    return (0.5 - distance / pixel).clamp(0, 1)[..., None]


def _two_bands(points: Tensor, v: Tensor, sky: tuple, ground: tuple, pixel: float) -> Tensor:
    """Sky over ground. Both become a little lighter towards the horizon."""
    horizon = (0.25 + 0.12 * v[:, 0])[:, None, None]
    below = _cover(horizon - points[..., 1], pixel)
    light = 0.08 * (1 - (points[..., 1] - horizon).abs())[..., None] + 0.04 * v[:, 2, None, None, None]
    return points.new_tensor(ground) * below + points.new_tensor(sky) * (1 - below) + light


def _over(canvas: Tensor, distance: Tensor, colour: tuple, pixel: float) -> Tensor:
    """Paint a shape of one colour over the canvas."""
    cover = _cover(distance, pixel)
    return canvas * (1 - cover) + canvas.new_tensor(colour) * cover


@paint_scene.register("beach")
def beach(points: Tensor, v: Tensor, pixel: float) -> Tensor:
    """Sky, a strip of sea, sand."""
    canvas = _two_bands(points, v, (0.62, 0.84, 0.95), (0.92, 0.82, 0.60), pixel)
    return _over(canvas, box(points, (0.0, 0.05 + 0.12 * v[:, 0]), (2.0, 0.2)), (0.10, 0.50, 0.72), pixel)


@paint_scene.register("meadow")
def meadow(points: Tensor, v: Tensor, pixel: float) -> Tensor:
    """Grass, a dark hill, pale sky."""
    canvas = _two_bands(points, v, (0.74, 0.88, 0.98), (0.48, 0.74, 0.32), pixel)
    hill = torch.maximum(
        ellipse(points, (0.6 * v[:, 1], 0.30), (0.9, 0.55)), points[..., 1] - (0.25 + 0.12 * v[:, 0])[:, None, None]
    )
    return _over(canvas, hill, (0.34, 0.56, 0.30), pixel)


@paint_scene.register("snow")
def snow(points: Tensor, v: Tensor, pixel: float) -> Tensor:
    """White ground, grey sky, two round drifts."""
    canvas = _two_bands(points, v, (0.62, 0.68, 0.76), (0.90, 0.93, 0.97), pixel)
    return _over(canvas, ellipse(points, (0.7 * v[:, 1], 0.42), (0.7, 0.30)), (0.97, 0.98, 1.0), pixel)


@paint_scene.register("desert")
def desert(points: Tensor, v: Tensor, pixel: float) -> Tensor:
    """Orange sky, low sun, brown dunes."""
    canvas = _two_bands(points, v, (0.98, 0.74, 0.48), (0.72, 0.46, 0.26), pixel)
    return _over(canvas, circle(points, (0.6 * v[:, 1], -0.45), 0.24), (1.0, 0.95, 0.70), pixel)


@paint_scene.register("night")
def night(points: Tensor, v: Tensor, pixel: float) -> Tensor:
    """Dark sky, a moon, dark ground."""
    canvas = _two_bands(points, v, (0.06, 0.08, 0.22), (0.12, 0.16, 0.18), pixel)
    return _over(canvas, circle(points, (0.6 * v[:, 1], -0.60), 0.18), (0.95, 0.94, 0.82), pixel)


@paint_scene.register("room")
def room(points: Tensor, v: Tensor, pixel: float) -> Tensor:
    """A wall with a window, a wooden floor."""
    canvas = _two_bands(points, v, (0.80, 0.74, 0.70), (0.52, 0.34, 0.22), pixel)
    window = (0.5 * v[:, 1], -0.45)
    canvas = _over(canvas, box(points, window, (0.34, 0.30)), (0.98, 0.98, 0.95), pixel)
    return _over(canvas, box(points, window, (0.27, 0.23)), (0.52, 0.76, 0.92), pixel)
