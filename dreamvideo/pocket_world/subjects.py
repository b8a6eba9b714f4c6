"""The eight classes of subject. Each consists of painted parts, in local coordinates of about [-1, 1] squared.

Subjects face to the right. ``p`` holds three proportions in [-1, 1] (N,) each: bulk, feature (ears, sail, cabin,
spout ...) and head. A part is (signed distance (N, S, S), paint); later parts lie over earlier ones.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dreamvideo.pocket_world.signed_distance import box, circle, ellipse, polygon, segment, union
from dreamvideo.registry import Registry

# The paint of a part: the first colour with the marking, the second colour, dark, or light.
COAT, SECOND, DARK, LIGHT = range(4)

Parts = list[tuple[Tensor, int]]
Draw = Callable[[Tensor, Tensor], Parts]
draw_subject: Registry[Draw] = Registry("subject class")


def _quadruped(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Body and legs of a four-legged animal, and the radius of its head."""
    bulk, head = p[:, 0], 0.34 + 0.06 * p[:, 2]
    body = ellipse(x, (-0.12, 0.22), (0.62, 0.34 + 0.06 * bulk))
    legs = union(
        *(box(x, (leg, 0.70), (0.09, 0.28), 0.05) for leg in (-0.56, -0.28, 0.08, 0.32)),
    )
    return body, legs, head


@draw_subject.register("cat")
def cat(x: Tensor, p: Tensor) -> Parts:
    """Pointed ears, long raised tail."""
    body, legs, head = _quadruped(x, p)
    ear = 0.26 + 0.10 * p[:, 1]
    tail = union(segment(x, (-0.66, 0.15), (-0.90, -0.30), 0.09), segment(x, (-0.90, -0.30), (-0.70, -0.66), 0.09))
    ears = union(
        polygon(x, (0.18, -0.30), (0.22, -0.58 - ear), (0.50, -0.52)),
        polygon(x, (0.52, -0.52), (0.82, -0.58 - ear), (0.84, -0.28)),
    )
    face = circle(x, (0.52, -0.26), head[:, None, None])
    return [
        (tail, COAT), (union(body, legs), COAT), (ears, SECOND), (face, COAT),
        (circle(x, (0.42, -0.32), 0.07), DARK), (circle(x, (0.68, -0.32), 0.07), DARK),
    ]  # fmt: skip


@draw_subject.register("dog")
def dog(x: Tensor, p: Tensor) -> Parts:
    """Long muzzle, hanging ear, short tail."""
    body, legs, head = _quadruped(x, p)
    ear = 0.30 + 0.10 * p[:, 1]
    tail = segment(x, (-0.66, 0.05), (-0.92, -0.22), 0.08)
    face = circle(x, (0.44, -0.36), head[:, None, None])
    muzzle = ellipse(x, (0.76, -0.22), (0.28, 0.17))
    flap = ellipse(x, (0.20, -0.36 + ear / 2), (0.13, ear))
    return [
        (tail, COAT), (union(body, legs), COAT), (union(face, muzzle), COAT), (flap, SECOND),
        (circle(x, (0.98, -0.30), 0.09), DARK), (circle(x, (0.52, -0.44), 0.07), DARK),
    ]  # fmt: skip


@draw_subject.register("rabbit")
def rabbit(x: Tensor, p: Tensor) -> Parts:
    """Two long upright ears, round body, white tail."""
    ear, head = 0.42 + 0.12 * p[:, 1], 0.32 + 0.05 * p[:, 2]
    body = ellipse(x, (-0.12, 0.46), (0.52 + 0.06 * p[:, 0], 0.46))
    foot = ellipse(x, (0.22, 0.86), (0.30, 0.12))
    ears = union(ellipse(x, (0.16, -0.42 - ear / 2), (0.12, ear)), ellipse(x, (0.48, -0.42 - ear / 2), (0.12, ear)))
    face = circle(x, (0.34, -0.10), head[:, None, None])
    return [
        (circle(x, (-0.66, 0.52), 0.17), LIGHT), (union(body, foot), COAT), (ears, SECOND), (face, COAT),
        (circle(x, (0.44, -0.16), 0.08), DARK),
    ]  # fmt: skip


@draw_subject.register("duck")
def duck(x: Tensor, p: Tensor) -> Parts:
    """Flat bill, raised tail, folded wing, no legs."""
    wing, head = 0.32 + 0.10 * p[:, 1], 0.32 + 0.05 * p[:, 2]
    body = ellipse(x, (-0.12, 0.36), (0.74, 0.38 + 0.05 * p[:, 0]))
    tail = polygon(x, (-0.98, -0.10), (-0.50, 0.20), (-0.70, 0.50))
    neck = segment(x, (0.36, 0.20), (0.42, -0.30), 0.18)
    face = circle(x, (0.42, -0.44), head[:, None, None])
    return [
        (polygon(x, (0.66, -0.52), (1.04, -0.38), (0.66, -0.26)), DARK), (union(body, tail, neck, face), COAT),
        (ellipse(x, (-0.20, 0.32), (wing, 0.19)), SECOND), (circle(x, (0.52, -0.54), 0.07), DARK),
    ]  # fmt: skip


@draw_subject.register("car")
def car(x: Tensor, p: Tensor) -> Parts:
    """Low body, cabin with windows, two wheels."""
    cabin, wheel = 0.44 + 0.10 * p[:, 1], 0.25 + 0.03 * p[:, 2]
    body = box(x, (0.0, 0.26), (0.98, 0.28 + 0.05 * p[:, 0]), 0.12)
    roof = box(x, (-0.10, -0.22), (cabin, 0.32), 0.16)
    windows = union(box(x, (-0.32, -0.20), (0.16, 0.16), 0.05), box(x, (0.12, -0.20), (0.16, 0.16), 0.05))
    wheels = union(*(circle(x, (at, 0.56), wheel[:, None, None]) for at in (-0.52, 0.52)))
    hubs = union(*(circle(x, (at, 0.56), 0.10) for at in (-0.52, 0.52)))
    return [(roof, SECOND), (windows, LIGHT), (body, COAT), (wheels, DARK), (hubs, LIGHT)]


@draw_subject.register("boat")
def boat(x: Tensor, p: Tensor) -> Parts:
    """Hull, mast and one sail."""
    sail, depth = 0.60 + 0.14 * p[:, 1], 0.86 + 0.06 * p[:, 0]
    hull = polygon(x, (-0.96, 0.38), (0.96, 0.38), (0.60, depth), (-0.66, depth))
    mast = box(x, (-0.06, -0.26), (0.05, 0.66))
    return [
        (mast, DARK), (polygon(x, (0.02, -0.88), (0.06 + sail, 0.24), (0.02, 0.24)), SECOND),
        (polygon(x, (-0.14, -0.66), (-0.14, 0.24), (-0.56 - 0.1 * p[:, 2], 0.24)), LIGHT), (hull, COAT),
    ]  # fmt: skip


@draw_subject.register("robot")
def robot(x: Tensor, p: Tensor) -> Parts:
    """Square head with an antenna, square body, arms and legs."""
    head, body = 0.34 + 0.06 * p[:, 2], 0.42 + 0.07 * p[:, 0]
    arm = 0.44 + 0.12 * p[:, 1]
    arms = union(*(box(x, (side * (body + 0.14), -0.06 + arm / 2), (0.10, arm / 2 + 0.06), 0.05) for side in (-1, 1)))
    legs = union(box(x, (-0.22, 0.76), (0.14, 0.24), 0.04), box(x, (0.22, 0.76), (0.14, 0.24), 0.04))
    antenna = union(segment(x, (0.0, -0.80), (0.0, -0.94), 0.04), circle(x, (0.0, -0.98), 0.09))
    eyes = union(circle(x, (-0.14, -0.52), 0.10), circle(x, (0.16, -0.52), 0.10))
    return [
        (antenna, DARK), (union(arms, legs), SECOND), (box(x, (0.0, 0.16), (body, 0.42), 0.08), COAT),
        (box(x, (0.0, -0.50), (head, 0.28), 0.06), COAT), (eyes, LIGHT),
    ]  # fmt: skip


@draw_subject.register("teapot")
def teapot(x: Tensor, p: Tensor) -> Parts:
    """Round pot with a lid, a spout in front and a handle behind."""
    pot = ellipse(x, (0.0, 0.24), (0.60, 0.54 + 0.06 * p[:, 0]))
    spout = segment(x, (0.50, 0.26), (0.90, -0.22 - 0.14 * p[:, 1]), 0.12)
    ring = (circle(x, (-0.66, 0.16), 0.30)).abs() - 0.08
    lid = ellipse(x, (0.0, -0.28), (0.36, 0.14 + 0.03 * p[:, 2]))
    return [(spout, SECOND), (ring, SECOND), (pot, COAT), (lid, SECOND), (circle(x, (0.0, -0.48), 0.11), DARK)]


def coat_colour(x: Tensor, marking: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The first colour with the marking laid over it.

    Args:
        x: local points (N, S, S, 2).
        marking: index into MARKINGS (N,).
        first: first colour (N, 3).
        second: colour of the marking (N, 3).

    Returns:
        Colours (N, S, S, 3).
    """
    u, v = x.unbind(-1)
    spot = torch.stack((torch.remainder(u + 0.1, 0.52) - 0.26, torch.remainder(v + 0.05, 0.52) - 0.26), -1).norm(dim=-1)
    choices = torch.stack(
        (
            torch.zeros_like(u, dtype=torch.bool),
            torch.remainder(u + 0.12, 0.48) < 0.24,
            spot < 0.16,
            v > 0.26,
            (u + 0.12).abs() < 0.24,
        )
    )
    marked = choices.gather(0, marking.view(1, -1, 1, 1).expand(1, *u.shape))[0]
    return torch.where(marked[..., None], second[:, None, None], first[:, None, None])
