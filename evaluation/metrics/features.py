"""The input of the metrics: features of one video, of its prompt and of its subject's reference images.

Shapes: F frames, S pixels a side, D width of CLIP, E width of DINO, R reference images, K known subjects.
"""

from dataclasses import dataclass

from torch import Tensor

from dreamvideo.errors import InputError


@dataclass(frozen=True)
class VideoFeatures:
    """All features of one video. A feature without a known truth is None.

    Attributes:
        frames: (F, 3, S, S) in [0, 1].
        clip_frames: (F, D) CLIP embeddings of the frames, L2-normalised, as are all embeddings here.
        clip_prompt: (D,) of the prompt, with the class word in place of the placeholder token.
        clip_references: (R, D) of the reference images.
        dino_frames: (F, E).
        dino_references: (R, E).
        subject_log_probabilities: (F, K) score of each known subject in each frame, whose softmax over K is
            the posterior.
        subject_index: which of the K the video should show.
        centroids: (F, 2) where the subject is seen, in world units.
        trajectories: (W, F, 2) where it should be, up to a constant: one path for each start that the clip allows.

    Raises:
        InputError: a shape disagrees with these.
    """

    frames: Tensor
    clip_frames: Tensor
    clip_prompt: Tensor
    clip_references: Tensor
    dino_frames: Tensor
    dino_references: Tensor
    subject_log_probabilities: Tensor | None = None
    subject_index: int | None = None
    centroids: Tensor | None = None
    trajectories: Tensor | None = None

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[1] != 3 or not len(self.frames):
            raise InputError(f"frames: needs shape (F, 3, S, S) with F >= 1, got {tuple(self.frames.shape)}")
        count = len(self.frames)
        clip_width, dino_width = self.clip_prompt.shape[-1], self.dino_frames.shape[-1]
        expected: dict[str, tuple[int | str, ...]] = {
            "clip_frames": (count, clip_width),
            "clip_prompt": (clip_width,),
            "clip_references": ("R", clip_width),
            "dino_frames": (count, dino_width),
            "dino_references": ("R", dino_width),
            "subject_log_probabilities": (count, "K"),
            "centroids": (count, 2),
            "trajectories": ("W", count, 2),
        }
        for name, shape in expected.items():
            _check_shape(name, getattr(self, name), shape)
        known, index = self.subject_log_probabilities, self.subject_index
        if known is not None and index is not None and not 0 <= index < known.shape[1]:
            raise InputError(f"subject_index: must be in [0, {known.shape[1]}), got {index}")


def _check_shape(name: str, tensor: Tensor | None, shape: tuple[int | str, ...]) -> None:
    """Raise InputError if a tensor has another shape; a letter stands for any size, and None passes."""
    if tensor is None:
        return
    fits = len(tensor.shape) == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(map(str, shape))
        raise InputError(f"{name}: needs shape ({wanted}), got {tuple(tensor.shape)}; encode one video")
