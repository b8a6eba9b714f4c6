"""Random clips of the world with captions, to train the pocket models.

The identities of the dataset's subjects are reserved: no clip shows one of them.
Shapes: N clips, F frames.
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamvideo.pocket_world.free_motions import draw_free_movement
from dreamvideo.pocket_world.motions import Movement, base_movement
from dreamvideo.pocket_world.render import Frames
from dreamvideo.pocket_world.vocabulary import CLASSES, COLOURS, MARKING_WORDS, MARKINGS, MOTIONS, SCENES

FREE_SHARE = 0.4  # the share of clips whose motion has no name
COLOUR_NAMES, SCENE_NAMES, MOTION_NAMES = tuple(COLOURS), tuple(SCENES), tuple(MOTIONS)


@dataclass(frozen=True)
class Identity:
    """The identity of a subject: names from the vocabulary and three proportions in [-1, 1]."""

    subject_class: str
    colour: str
    marking: str
    marking_colour: str
    proportions: tuple[float, float, float]

    @property
    def signature(self) -> tuple[str, str, str, str]:
        """The part that words can name. The signatures of the dataset's subjects never occur in training."""
        return self.subject_class, self.colour, self.marking, self.marking_colour


@dataclass(frozen=True)
class Shot:
    """One clip to draw: an identity, a scene, a motion and their placement."""

    identity: Identity
    scene: str
    motion: Movement
    scene_variation: tuple[float, float, float]
    centre: tuple[float, float]
    size: float
    facing: int


def draw_identity(rng: random.Random, reserved: frozenset[tuple]) -> Identity:
    """A random identity whose signature is not reserved."""
    while True:
        colour = rng.choice(COLOUR_NAMES)
        identity = Identity(
            subject_class=rng.choice(CLASSES),
            colour=colour,
            marking=rng.choice(MARKINGS),
            marking_colour=rng.choice([other for other in COLOUR_NAMES if other != colour]),
            proportions=(rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1, 1)),
        )
        if identity.signature not in reserved:
            return identity


def draw_shot(rng: random.Random, identity: Identity, scene: str | None = None, motion: str | None = None) -> Shot:
    """A random shot of an identity in a given or random scene, with a given motion of MOTIONS or a random movement."""
    free = motion is None and rng.random() < FREE_SHARE
    name = motion or rng.choice(MOTION_NAMES)
    facing = {"right": 1, "left": -1}.get(name) or rng.choice((-1, 1))
    scene = scene or rng.choice(SCENE_NAMES)
    variation = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1, 1)
    centre, size = (rng.uniform(-0.2, 0.2), rng.uniform(-0.1, 0.25)), rng.uniform(0.42, 0.56)
    movement = base_movement(name, rng.uniform(0.75, 1.0), rng.uniform(0.0, 0.25))
    if free:  # these paths are wide, so their middle is near the centre
        movement = draw_free_movement(rng)
        facing = {"right": 1, "left": -1}.get(movement.direction or "", facing)
        centre, size = (centre[0] / 2, centre[1] / 3), rng.uniform(0.42, 0.5)
    return Shot(identity, scene, movement, variation, centre, size, facing)


def frame_times(num_frames: int) -> Tensor:
    """The times (F,) in [0, 1] of the frames of a clip."""
    return torch.linspace(0, 1, num_frames) if num_frames > 1 else torch.tensor([0.5])


def shots_to_frames(shots: list[Shot], poses: Tensor, device: torch.device | str = "cpu") -> Frames:
    """The input of the renderer for N shots.

    Args:
        shots: N shots.
        poses: the motions' poses (N, F, 4).
        device: where to render.

    Returns:
        N * F frames, clip by clip.
    """
    frames = poses.shape[1]

    def tensor(values: list) -> Tensor:
        return torch.tensor(values).repeat_interleave(frames, dim=0).to(device)

    flat = poses.flatten(0, 1).to(device)
    identities = [shot.identity for shot in shots]
    return Frames(
        subject_class=tensor([CLASSES.index(i.subject_class) for i in identities]),
        colour=tensor([COLOURS[i.colour] for i in identities]),
        marking=tensor([MARKINGS.index(i.marking) for i in identities]),
        marking_colour=tensor([COLOURS[i.marking_colour] for i in identities]),
        proportions=tensor([i.proportions for i in identities]),
        scene=tensor([SCENE_NAMES.index(shot.scene) for shot in shots]),
        scene_variation=tensor([shot.scene_variation for shot in shots]),
        position=tensor([shot.centre for shot in shots]) + flat[:, :2],
        size=tensor([shot.size for shot in shots]) * flat[:, 2].exp(),
        angle=flat[:, 3],
        facing=tensor([float(shot.facing) for shot in shots]),
    )


def shot_frames(shots: list[Shot], num_frames: int, device: torch.device | str = "cpu") -> Frames:
    """The frames of shots. Each shot has its own motion."""
    times = frame_times(num_frames)
    poses = torch.stack([shot.motion.path(times) for shot in shots])
    return shots_to_frames(shots, poses, device)


def caption(shot: Shot, rng: random.Random, moving: bool) -> str:
    """A caption of a shot. It always names the class, and only sometimes the rest. It may call a motion just "moving"."""
    identity = shot.identity
    colour = f"{identity.colour} " if rng.random() < 0.7 else ""
    words = [f"a {colour}{identity.subject_class}"]
    if identity.marking in MARKING_WORDS and rng.random() < 0.4:
        words.append(f"with {identity.marking_colour} {MARKING_WORDS[identity.marking]}")
    if moving and rng.random() < 0.85:
        vague = shot.motion.name != "still" and rng.random() < 0.1
        words.append(f"is {'moving' if vague else shot.motion.words}")
    if rng.random() < 0.8:
        words.append(SCENES[shot.scene])
    return " ".join(words)
