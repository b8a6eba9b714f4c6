"""The encoders behind the metrics. They run once a video; the metrics are functions of their outputs.

Whatever they run on, images come from the CPU and embeddings go there.

Shapes: F frames, R reference images, S pixels a side, D and E widths of the CLIP and DINO embeddings.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import open_clip
import timm
import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor
from torch.nn import functional

from dreamvideo.base_models import pocket_networks as networks
from dreamvideo.base_models.loading import load_open_clip
from dreamvideo.base_models.pocket import load_component
from dreamvideo.pocket_world.oracle import Oracle, subject_log_probabilities
from dreamvideo.pocket_world.tokenizer import tokenize
from dreamvideo.registry import Registry
from dreamvideo.weights import load_into, read_weights


class MetricEncoders(ABC):
    """A CLIP and a DINO; and an oracle, if the videos show the pocket world."""

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
        """The oracle's reading of frames (F, 3, S, S), or None without an oracle.

        Args:
            frames: in [-1, 1].
            truths: the nameable truth of each of K known subjects.

        Returns:
            Log probabilities (F, K) of the subjects' truths, and the centroids (F, 2) of the foreground.
        """


# Each entry takes the folder of its weights and a device.
encoders: Registry[Callable[[Path, torch.device], MetricEncoders]] = Registry("metric encoders")


@encoders.register("pocket")
class PocketEncoders(MetricEncoders):
    """A small CLIP with another seed than the base's, a small DINO and the oracle. All trained on the pocket world."""

    frame_size = networks.FRAME_SIZE

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.clip = load_component(folder, "clip_metric", networks.build_clip()).to(device)
        self.dino = load_component(folder, "dino", networks.build_dino()).to(device)
        self.oracle = load_component(folder, "oracle", Oracle()).to(device)

    @torch.no_grad()
    def clip_images(self, images: Tensor) -> Tensor:
        """CLIP embeddings (F, D)."""
        return self.clip.encode_image(images.to(self.device), normalize=True).cpu()

    @torch.no_grad()
    def clip_text(self, prompt: str) -> Tensor:
        """CLIP embedding (D,)."""
        return self.clip.encode_text(tokenize([prompt]).to(self.device), normalize=True)[0].cpu()

    @torch.no_grad()
    def dino_images(self, images: Tensor) -> Tensor:
        """DINO embeddings (F, E)."""
        return functional.normalize(self.dino(images.to(self.device)), dim=-1).cpu()

    @torch.no_grad()
    def read_truth(self, frames: Tensor, truths: list[dict]) -> tuple[Tensor, Tensor] | None:
        """The sum of the log probabilities of class, colour, marking and its colour; and the centroids."""
        read = self.oracle(frames[None].to(self.device))
        return subject_log_probabilities(read, truths)[0].cpu(), read["centroid"][0].cpu()


@encoders.register("paper")
class PaperEncoders(MetricEncoders):
    """CLIP ViT-B/32 of OpenAI and DINO ViT-S/16 (Sec. 4.1).

    The folder holds ``clip``, in open_clip's layout, and ``dino/model.safetensors``, in timm's.
    """

    frame_size = 256

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.clip, preprocess = load_open_clip(folder / "clip")
        self.clip.to(device)
        self.tokenize = open_clip.get_tokenizer(f"local-dir:{folder / 'clip'}")
        self.dino = timm.create_model("vit_small_patch16_224.dino", num_classes=0)
        tensors, _ = read_weights(folder / "dino" / "model.safetensors")
        load_into(self.dino, tensors, folder / "dino" / "model.safetensors")
        self.dino.to(device).eval().requires_grad_(False)
        self._clip_statistics = preprocess["mean"], preprocess["std"]

    @torch.no_grad()
    def clip_images(self, images: Tensor) -> Tensor:
        """CLIP embeddings (F, D), of images resized to the tower's size."""
        sized = _resized(images.to(self.device), self.clip.visual.image_size)
        return self.clip.encode_image(_standardised(sized, *self._clip_statistics), normalize=True).cpu()

    @torch.no_grad()
    def clip_text(self, prompt: str) -> Tensor:
        """CLIP embedding (D,)."""
        return self.clip.encode_text(self.tokenize([prompt]).to(self.device), normalize=True)[0].cpu()

    @torch.no_grad()
    def dino_images(self, images: Tensor) -> Tensor:
        """DINO embeddings (F, E), of the central 224 x 224 of images resized to 256."""
        sized = _resized(images.to(self.device), (256, 256))[..., 16:240, 16:240]
        features = self.dino(_standardised(sized, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
        return functional.normalize(features, dim=-1).cpu()

    def read_truth(self, frames: Tensor, truths: list[dict]) -> None:
        """None: nobody knows the truth of real videos."""


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images from [-1, 1] to another size, in [0, 1]."""
    return (functional.interpolate(images, size, mode="bicubic", antialias=True).clamp(-1, 1) + 1) / 2


def _standardised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    centre, spread = (images.new_tensor(values)[:, None, None] for values in (mean, std))
    return (images - centre) / spread
