"""The encoders behind the metrics: they run once a video, and the metrics are functions of what they give.

Shapes: F frames, R reference images, S pixels a side, D and E widths of the CLIP and DINO embeddings.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from dreamvideo.base_models import pocket_networks as networks
from dreamvideo.base_models.pocket import load_component
from dreamvideo.dataset.pocket_world.oracle import Oracle, subject_log_probabilities
from dreamvideo.dataset.pocket_world.tokenizer import tokenize
from dreamvideo.registry import Registry


class MetricEncoders(ABC):
    """A CLIP and a DINO, and a read-out of the truth where the world is known."""

    frame_size: int  # S

    @abstractmethod
    def clip_images(self, images: Tensor) -> Tensor:
        """L2-normalised CLIP embeddings (F, D) of images (F, 3, S, S) in [-1, 1]."""

    @abstractmethod
    def clip_text(self, prompt: str) -> Tensor:
        """L2-normalised CLIP embedding (D,)."""

    @abstractmethod
    def dino_images(self, images: Tensor) -> Tensor:
        """L2-normalised DINO CLS embeddings (F, E) of images (F, 3, S, S) in [-1, 1]."""

    @abstractmethod
    def read_truth(self, frames: Tensor, truths: list[dict]) -> tuple[Tensor, Tensor] | None:
        """What an oracle reads off frames (F, 3, S, S), or None where there is none.

        Args:
            frames: in [-1, 1].
            truths: the nameable truth of each of K known subjects.

        Returns:
            Log probabilities (F, K) of the subjects' truths, and the centroids (F, 2) of the foreground.
        """


encoders: Registry[Callable[[Path], MetricEncoders]] = Registry("metric encoders")


@encoders.register("pocket")
class PocketEncoders(MetricEncoders):
    """A small CLIP with a seed of its own, a small DINO and the oracle, all trained on the procedural world."""

    frame_size = networks.FRAME_SIZE

    def __init__(self, folder: Path) -> None:
        self.clip = load_component(folder, "clip_metric", networks.build_clip())
        self.dino = load_component(folder, "dino", networks.build_dino())
        self.oracle = load_component(folder, "oracle", Oracle())

    @torch.no_grad()
    def clip_images(self, images: Tensor) -> Tensor:
        """CLIP embeddings (F, D)."""
        return self.clip.encode_image(images, normalize=True)

    @torch.no_grad()
    def clip_text(self, prompt: str) -> Tensor:
        """CLIP embedding (D,)."""
        return self.clip.encode_text(tokenize([prompt]), normalize=True)[0]

    @torch.no_grad()
    def dino_images(self, images: Tensor) -> Tensor:
        """DINO embeddings (F, E)."""
        return functional.normalize(self.dino(images), dim=-1)

    @torch.no_grad()
    def read_truth(self, frames: Tensor, truths: list[dict]) -> tuple[Tensor, Tensor] | None:
        """The sum of the log probabilities of class, colour, marking and its colour; and the centroids."""
        read = self.oracle(frames[None])
        return subject_log_probabilities(read, truths)[0], read["centroid"][0]
