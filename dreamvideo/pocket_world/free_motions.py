"""Families of random paths. Captions name the family and at most a side, so the base learns that a subject can go anywhere.

Every path keeps a distance from the thirty motions of the dataset.
"""

import math
import random

import torch
from torch import Tensor

from dreamvideo.pocket_world.motions import (
    TARGET_MOTIONS,
    Movement,
    Path,
    centred_distance,
    hopping,
    orbit,
    pose,
    through,
    tilted,
)
from dreamvideo.pocket_world.vocabulary import DIRECTIONS, FAMILIES
from dreamvideo.registry import Registry

CLEARANCE = 0.15  # world units between a path and the dataset's paths, root mean square over a clip
REACH = 0.45
_TIMES = torch.linspace(0, 1, 32)
_TARGETS = torch.stack([motion.path(_TIMES)[:, :2] for motion in TARGET_MOTIONS.values()])

# A family draws a path and the direction that its caption may name.
Drawn = tuple[Path, str | None]
families: Registry = Registry("family of motions")


def draw_free_movement(rng: random.Random) -> Movement:
    """A random path of a random family, at a distance from the paths of the dataset."""
    while True:
        family = rng.choice(list(FAMILIES))
        path, direction = families[family](rng)
        if centred_distance(path(_TIMES)[:, :2], _TARGETS).min() >= CLEARANCE:
            words = f"{FAMILIES[family]} {DIRECTIONS[direction]}" if direction else FAMILIES[family]
            return Movement(family, words, _sometimes_tilted(path, rng), direction)


def _sometimes_tilted(path: Path, rng: random.Random) -> Path:
    """The same path. Sometimes the subject also turns or changes its size steadily."""
    angle = rng.uniform(-1.2, 1.2) if rng.random() < 0.25 else 0.0
    growth = rng.uniform(-0.7, 0.7) if rng.random() < 0.25 else 0.0
    return tilted(path, angle, growth)


@families.register("wander")
def wander(rng: random.Random) -> Drawn:
    """Straight lines through two to five points, or a Lissajous figure."""
    if rng.random() < 0.3:
        return _lissajous(rng), None
    points = [(rng.uniform(-REACH, REACH), rng.uniform(-REACH, REACH))]
    for _ in range(rng.choice((1, 2, 2, 3, 3, 4))):
        points.append(_apart_from(points[-1], rng))
    if len(points) > 2 and rng.random() < 0.3:
        points.append(points[0])
    return through(*points), None


def _apart_from(last: tuple[float, float], rng: random.Random) -> tuple[float, float]:
    """A point at some distance from the last."""
    while True:
        point = rng.uniform(-REACH, REACH), rng.uniform(-REACH, REACH)
        if math.dist(point, last) >= 0.3:
            return point


def _lissajous(rng: random.Random) -> Path:
    width, height = rng.uniform(0.15, REACH), rng.uniform(0.15, REACH)
    across, down = rng.choice((0.5, 1.0, 1.5, 2.0)), rng.choice((0.5, 1.0, 1.5, 2.0))
    start, lag = rng.random(), rng.random()

    def path(t: Tensor) -> Tensor:
        turn = 2 * math.pi
        x = width * torch.sin(turn * (across * t + start))
        return pose(x, height * torch.sin(turn * (down * t + lag)), t=t)

    return path


@families.register("weave")
def weave(rng: random.Random) -> Drawn:
    """A line to one side, with a swing or a zigzag around it."""
    direction = rng.choice(list(DIRECTIONS))
    length, size = rng.uniform(0.5, 0.95), rng.choice((-1, 1)) * rng.uniform(0.1, 0.35)
    swings, phase, zigzag = rng.uniform(0.5, 2.25), rng.random(), rng.random() < 0.5

    def path(t: Tensor) -> Tensor:
        side = torch.sin(2 * math.pi * (swings * t + phase))
        side = size * (torch.asin(side) * (2 / math.pi) if zigzag else side)
        along = length * (t - 0.5)
        ways = {"right": (along, side), "left": (-along, side), "up": (side, -along), "down": (side, along)}
        return pose(*ways[direction], t=t)

    return path, direction


@families.register("hop")
def hop(rng: random.Random) -> Drawn:
    """Two to four hops to one side, on the level, uphill or downhill."""
    direction, far = rng.choice(("right", "left")), rng.uniform(0.3, 0.95)
    path = hopping(
        far if direction == "right" else -far, rng.uniform(-0.7, 0.7), rng.randint(2, 4), rng.uniform(0.2, 0.45)
    )
    return path, direction


@families.register("orbit")
def orbiting(rng: random.Random) -> Drawn:
    """Ellipses and spirals in either direction."""
    turns = rng.choice((-1, 1)) * rng.uniform(0.7, 1.75)
    growth = rng.uniform(-1.8, 1.8) if rng.random() < 0.5 else 0.0
    turning = rng.uniform(-3, 3) if rng.random() < 0.3 else 0.0
    return orbit(rng.uniform(0.08, 0.5), rng.uniform(0.08, 0.5), turns, rng.random(), growth, turning), None


@families.register("sway")
def sway(rng: random.Random) -> Drawn:
    """From side to side on an arc. The subject turns with the arc."""
    width, sag = rng.uniform(0.2, 0.5), rng.uniform(-0.35, 0.35)
    swings, phase, lean = rng.uniform(0.5, 2.0), rng.random(), rng.uniform(-1.0, 1.0)

    def path(t: Tensor) -> Tensor:
        side = torch.sin(2 * math.pi * (swings * t + phase))
        return pose(width * side, sag * (0.5 - side.square()), angle=lean * side, t=t)

    return path, None
