"""Motions as paths: the place, the size and the angle of a subject at every moment of a clip.

A path maps times (F,) in [0, 1] to poses (F, 4): offset right, offset down (world units), natural logarithm of the
relative size, angle (radians, clockwise on screen).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamvideo.pocket_world.vocabulary import MOTIONS

Path = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Movement:
    """The movement of a subject in one shot."""

    name: str  # of a motion of vocabulary.MOTIONS, or of a family of vocabulary.FAMILIES
    words: str  # what a caption says of it
    path: Path
    direction: str | None = None  # of vocabulary.DIRECTIONS, if the family's words name one


def centred_distance(path: Tensor, others: Tensor) -> Tensor:
    """Root mean square distance (N,) of a path (F, 2) from others (N, F, 2), after centring each path."""
    offsets = (others - others.mean(1, keepdim=True)) - (path - path.mean(0))
    return offsets.square().sum(-1).mean(-1).sqrt()


def pose(
    x: Tensor | float = 0.0,
    y: Tensor | float = 0.0,
    log_size: Tensor | float = 0.0,
    angle: Tensor | float = 0.0,
    *,
    t: Tensor,
) -> Tensor:
    """Stack the four components of a pose, each a number or (F,), to (F, 4)."""
    return torch.stack([torch.as_tensor(value, dtype=t.dtype) + 0 * t for value in (x, y, log_size, angle)], dim=-1)


def _hop(t: Tensor, count: int) -> Tensor:
    """Height of ``count`` hops over the clip: 0 at the ends of each, 1 at the top."""
    phase = torch.remainder(t * count, 1.0)
    return 4 * phase * (1 - phase)


def base_path(motion: str, amplitude: float, phase: float) -> Path:
    """The path of one of the motions the base model learns (vocabulary.MOTIONS).

    Args:
        motion: its name.
        amplitude: how far it goes, about 0.5 to 1.
        phase: in [0, 1): where a periodic motion begins.
    """
    turn = 2 * math.pi
    a = amplitude
    paths: dict[str, Path] = {
        "still": lambda t: pose(t=t),
        "right": lambda t: pose(a * (t - 0.5), t=t),
        "left": lambda t: pose(-a * (t - 0.5), t=t),
        "jump": lambda t: pose(0, 0.2 - 0.6 * a * _hop(t + 0.5 * phase, 2), t=t),
        "rise": lambda t: pose(0, -a * (t - 0.5), t=t),
        "fall": lambda t: pose(0, a * (t - 0.5), t=t),
        "approach": lambda t: pose(log_size=0.9 * a * (t - 0.6), t=t),
        "recede": lambda t: pose(log_size=-0.9 * a * (t - 0.4), t=t),
        "swing": lambda t: pose(angle=0.6 * a * torch.sin(turn * (1.5 * t + phase)), t=t),
        "circle": lambda t: pose(
            0.35 * a * torch.cos(turn * (t + phase)), 0.35 * a * torch.sin(turn * (t + phase)), t=t
        ),
    }
    return paths[motion]


def base_movement(name: str, amplitude: float, phase: float) -> Movement:
    """One of the motions that the base model learns by name, as :func:`base_path` describes it."""
    return Movement(name, MOTIONS[name], base_path(name, amplitude, phase))


def through(*points: tuple[float, float]) -> Path:
    """A path along straight lines through points, at even times."""

    def path(t: Tensor) -> Tensor:
        corners = torch.tensor(points, dtype=t.dtype)
        place = t.clamp(0, 1) * (len(points) - 1)
        index = place.floor().long().clamp_max(len(points) - 2)
        offset = corners[index] + (place - index)[:, None] * (corners[index + 1] - corners[index])
        return pose(offset[:, 0], offset[:, 1], t=t)

    return path


def hopping(dx: float, dy: float, count: int, height: float) -> Path:
    """A straight line with hops."""
    return lambda t: pose(dx * (t - 0.5), dy * (t - 0.5) + height * (0.5 - _hop(t, count)), t=t)


def wave(dx: float, dy: float, swings: float, size: float) -> Path:
    """A sine wave around a straight line."""
    length = math.hypot(dx, dy)

    def path(t: Tensor) -> Tensor:
        side = size * torch.sin(2 * math.pi * swings * t)
        return pose(dx * (t - 0.5) - side * dy / length, dy * (t - 0.5) + side * dx / length, t=t)

    return path


def orbit(rx: float, ry: float, turns: float, start: float = 0.0, growth: float = 0.0, turning: float = 0.0) -> Path:
    """An ellipse or a spiral; ``growth`` is the change of its size over the clip, ``turning`` that of the angle."""

    def path(t: Tensor) -> Tensor:
        phase = 2 * math.pi * (turns * t + start)
        reach = 1 + growth * (t - 0.5)
        return pose(rx * reach * torch.cos(phase), ry * reach * torch.sin(phase), angle=turning * (t - 0.5), t=t)

    return path


def _figure_eight(width: float, height: float) -> Path:
    return lambda t: pose(width * torch.sin(2 * math.pi * t), height * torch.sin(4 * math.pi * t), t=t)


def _pendulum(t: Tensor) -> Tensor:
    """One and a half swings on a rope, highest at the ends."""
    swing = 3 * math.pi * t
    return pose(0.45 * torch.sin(swing), 0.15 - 0.3 * torch.cos(swing).square(), angle=-0.7 * torch.sin(swing), t=t)


def tilted(path: Path, angle: float = 0.0, log_size: float = 0.0) -> Path:
    """The same path. The subject also turns by ``angle`` and grows by ``log_size`` over the clip."""
    return lambda t: path(t) + pose(angle=angle * (t - 0.5), log_size=log_size * (t - 0.5), t=t)


@dataclass(frozen=True)
class TargetMotion:
    """One of the thirty motions that a method learns from clips."""

    words: str  # its words in a caption: true, but too little to reproduce the path
    clips: int
    path: Path


# No base motion, at any amplitude or phase, and no free path reaches one of these paths. Tests measure the distance.
TARGET_MOTIONS = {
    "zigzag_right": TargetMotion("weaving to the right", 2, through((-0.45, 0.2), (-0.22, -0.25), (0, 0.2), (0.22, -0.25), (0.45, 0.2))),
    "zigzag_left": TargetMotion("weaving to the left", 2, through((0.45, -0.2), (0.22, 0.25), (0, -0.2), (-0.22, 0.25), (-0.45, -0.2))),
    "zigzag_up": TargetMotion("weaving up", 2, through((0.25, 0.4), (-0.25, 0.2), (0.25, 0), (-0.25, -0.2), (0.25, -0.4))),
    "zigzag_down": TargetMotion("weaving down", 1, through((-0.25, -0.4), (0.25, -0.2), (-0.25, 0), (0.25, 0.2), (-0.25, 0.4))),
    "hop_right": TargetMotion("hopping to the right", 3, hopping(0.9, 0, 3, 0.4)),
    "hop_left": TargetMotion("hopping to the left", 3, hopping(-0.9, 0, 3, 0.4)),
    "hop_uphill": TargetMotion("hopping to the right", 2, hopping(0.7, -0.6, 2, 0.3)),
    "hop_downhill": TargetMotion("hopping to the left", 1, hopping(-0.7, 0.6, 2, 0.3)),
    "wave_right": TargetMotion("weaving to the right", 4, wave(0.9, 0, 1, 0.3)),
    "wave_left": TargetMotion("weaving to the left", 2, wave(-0.9, 0, 1, 0.3)),
    "wave_up": TargetMotion("weaving up", 1, wave(0, -0.9, 1, 0.3)),
    "wave_down": TargetMotion("weaving down", 2, wave(0, 0.9, 1, 0.3)),
    "square": TargetMotion("wandering", 5, through((-0.3, -0.3), (-0.3, 0.3), (0.3, 0.3), (0.3, -0.3), (-0.3, -0.3))),
    "triangle": TargetMotion("wandering", 3, through((-0.35, 0.3), (0.35, 0.3), (0, -0.35), (-0.35, 0.3))),
    "diamond": TargetMotion("wandering", 2, through((0, -0.38), (-0.38, 0), (0, 0.38), (0.38, 0), (0, -0.38))),
    "figure_eight": TargetMotion("wandering", 4, _figure_eight(0.42, 0.25)),
    "upright_eight": TargetMotion("wandering", 2, lambda t: _figure_eight(0.42, 0.25)(t)[:, [1, 0, 2, 3]]),
    "spiral_out": TargetMotion("orbiting", 2, orbit(0.24, 0.24, 1.5, growth=1.8)),
    "spiral_in": TargetMotion("orbiting", 2, orbit(0.24, 0.24, 1.5, growth=-1.8)),
    "flat_orbit": TargetMotion("orbiting", 1, orbit(0.48, 0.1, 1, start=0.25)),
    "tall_orbit": TargetMotion("orbiting", 1, orbit(0.1, 0.48, 1, start=0.5)),
    "tumbling_orbit": TargetMotion("orbiting", 2, orbit(0.32, 0.32, -1, turning=3.0)),
    "corner_up": TargetMotion("wandering", 3, through((-0.4, 0.35), (0.4, 0.35), (0.4, -0.4))),
    "corner_down": TargetMotion("wandering", 1, through((0.4, -0.35), (-0.4, -0.35), (-0.4, 0.4))),
    "there_and_back": TargetMotion("wandering", 2, through((-0.45, 0), (0.45, 0), (-0.45, 0))),
    "up_and_down": TargetMotion("wandering", 1, through((0, 0.45), (0, -0.45), (0, 0.45))),
    "diagonal_rise": TargetMotion("wandering", 5, tilted(through((-0.4, 0.4), (0.4, -0.4)), angle=-1.0)),
    "diagonal_fall": TargetMotion("wandering", 2, tilted(through((-0.4, -0.4), (0.4, 0.4)), angle=1.0)),
    "swoop": TargetMotion("wandering", 2, tilted(through((-0.45, -0.4), (0, 0.35), (0.45, -0.4)), log_size=0.6)),
    "pendulum": TargetMotion("swaying", 3, _pendulum),
}  # fmt: skip
