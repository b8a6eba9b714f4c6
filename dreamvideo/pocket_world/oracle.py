"""The oracle reads what frames show, and where. It is a trained model too, so reports show its own score.

Shapes: B clips, F frames, S pixels a side.
"""

import torch
from torch import Tensor, nn

from dreamvideo.pocket_world.vocabulary import CLASSES, COLOURS, MARKINGS, MOTIONS, SCENES

NAMES = {
    "subject_class": CLASSES,
    "colour": tuple(COLOURS),
    "marking": MARKINGS,
    "marking_colour": tuple(COLOURS),
    "scene": tuple(SCENES),
}
READ_OUTS = {name: len(names) for name, names in NAMES.items()}
POOLED = 64 + 128 + 128  # widths of the inputs of the heads


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GroupNorm(4, outputs), nn.GELU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.GELU(),
    )  # fmt: skip


class Oracle(nn.Module):
    """Reads class, colours, marking and scene of each frame, segments the foreground, and names the base motion of a clip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _down(3, 32)
        self.middle = _down(32, 64)
        self.deep = _down(64, 128)
        self.foreground = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.GELU(), nn.Conv2d(64, 1, 1))
        self.heads = nn.ModuleDict({name: _head(size) for name, size in READ_OUTS.items()})
        self.motion = nn.Sequential(nn.Linear(8 * 19, 128), nn.GELU(), nn.Linear(128, len(MOTIONS)))
        self.turn = nn.Linear(POOLED, 16)

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        """Read clips.

        Args:
            clips: (B, F, 3, S, S) in [-1, 1], S = 64.

        Returns:
            Logits (B, F, classes) by the names of READ_OUTS, ``foreground`` logits (B, F, 16, 16), ``centroid``
            (B, F, 2) in world units, and, where F = 8, ``motion`` logits (B, motions).
        """
        batch, frames = clips.shape[:2]
        middle = self.middle(self.stem(clips.flatten(0, 1)))
        foreground = self.foreground(middle)
        deep = self.deep(middle)
        # Pool over the foreground and over everything: the subject's colours, and the scene's.
        cover = nn.functional.interpolate(foreground.sigmoid(), size=deep.shape[-2:], mode="area")
        inside = [_mean_under(signal, features) for features, signal in ((middle, foreground.sigmoid()), (deep, cover))]
        pooled = torch.cat((*inside, deep.mean((2, 3))), dim=-1)
        centroid, area = _moments(foreground.sigmoid())
        read = {name: head(pooled).unflatten(0, (batch, frames)) for name, head in self.heads.items()}
        read["foreground"] = foreground[:, 0].unflatten(0, (batch, frames))
        read["centroid"] = centroid.unflatten(0, (batch, frames))
        if frames == 8:
            path = torch.cat((centroid, area.log(), self.turn(pooled)), dim=-1).unflatten(0, (batch, frames))
            read["motion"] = self.motion(path.flatten(1))
        return read


def subject_log_probabilities(read: dict[str, Tensor], truths: list[dict[str, str]]) -> Tensor:
    """The fit of frames to known subjects.

    Args:
        read: what :class:`Oracle` reads off B clips of F frames.
        truths: class, colour, marking and its colour of K subjects, by name.

    Returns:
        The sum of the read-outs' log probabilities (B, F, K).
    """
    scores = []
    for truth in truths:
        named = {name: NAMES[name].index(truth[name]) for name in READ_OUTS if name in truth}
        terms = (read[name].log_softmax(-1)[..., index] for name, index in named.items())
        scores.append(sum(terms, start=torch.zeros(())))
    return torch.stack(scores, dim=-1)


def _head(size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(POOLED, 128), nn.GELU(), nn.Linear(128, size))


def _mean_under(cover: Tensor, features: Tensor) -> Tensor:
    """Mean (N, C) of features (N, C, H, W) under a cover (N, 1, H, W)."""
    return (features * cover).sum((2, 3)) / (cover.sum((2, 3)) + 0.1)


def _moments(cover: Tensor) -> tuple[Tensor, Tensor]:
    """Centroid (N, 2) in world units and area (N, 1) as a share of the frame, of covers (N, 1, H, W)."""
    size = cover.shape[-1]
    axis = (torch.arange(size, device=cover.device) + 0.5) * (2 / size) - 1
    # Squares keep faint false alarms from moving the centroid.
    weight = cover[:, 0].square()
    total = weight.sum((1, 2)) + 1e-4
    x = (weight.sum(1) * axis).sum(-1) / total
    y = (weight.sum(2) * axis).sum(-1) / total
    return torch.stack((x, y), dim=-1), total[:, None] / size**2
