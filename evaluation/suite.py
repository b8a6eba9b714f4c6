"""Score one saved video against its subject, its motion and its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dreamvideo.dataset.catalog import Motion, Subject
from dreamvideo.dataset.clips import clip_rate, read_clip, resize_frames
from dreamvideo.dataset.images import read_image
from dreamvideo.dataset.rules import needed_frames, window
from evaluation.metrics import VideoFeatures, score

if TYPE_CHECKING:
    from evaluation.encoders import MetricEncoders


def class_prompt(prompt: str, class_word: str) -> str:
    """The prompt for CLIP-T: the class word replaces the placeholder."""
    return prompt.replace("*", class_word)


@dataclass
class Suite:
    """The metrics with their encoders. It keeps the embeddings of reference images between videos."""

    encoders: MetricEncoders
    known_subjects: dict[str, Subject]

    def __post_init__(self) -> None:
        self._references: dict[str, tuple[Tensor, Tensor]] = {}
        self._truths = {name: s.truth for name, s in self.known_subjects.items() if s.truth}

    def score_video(
        self, path: Path, subject: Subject, motion: Motion, prompt: str, metrics: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Score a saved video.

        Args:
            path: of the video.
            subject: that the video should show.
            motion: that the subject should do.
            prompt: with the placeholder ``*``.
            metrics: names; None stands for all.

        Returns:
            Scores by metric; NaN where a metric does not apply.
        """
        saved, fps = read_clip(path)
        frames = resize_frames(saved, self.encoders.frame_size)
        clip_references, dino_references = self._reference_embeddings(subject)
        read = self.encoders.read_truth(frames, list(self._truths.values())) if self._truths else None
        names = list(self._truths)
        return score(
            VideoFeatures(
                frames=(frames + 1) / 2,
                clip_frames=self.encoders.clip_images(frames),
                clip_prompt=self.encoders.clip_text(class_prompt(prompt, subject.class_word)),
                clip_references=clip_references,
                dino_frames=self.encoders.dino_images(frames),
                dino_references=dino_references,
                subject_log_probabilities=read[0] if read else None,
                subject_index=names.index(subject.name) if subject.name in names else None,
                centroids=read[1] if read else None,
                trajectories=true_trajectories(motion, len(frames), fps),
            ),
            metrics,
        )

    def _reference_embeddings(self, subject: Subject) -> tuple[Tensor, Tensor]:
        if subject.name not in self._references:
            size = self.encoders.frame_size
            images = torch.stack([read_image(path, size) for path in subject.images])
            self._references[subject.name] = self.encoders.clip_images(images), self.encoders.dino_images(images)
        return self._references[subject.name]


def true_trajectories(motion: Motion, frames: int, fps: float) -> Tensor | None:
    """The known trajectory of a motion inside a training window.

    Args:
        motion: from the catalog; its truth has one place for every frame of its first clip.
        frames: F, how many the video has.
        fps: of the video.

    Returns:
        (W, F, 2), one for every start that the clip leaves room for; None where the truth is not known or shorter
        than the video.
    """
    if not motion.truth:
        return None
    path = torch.tensor(motion.truth["trajectory"])
    clip_fps = clip_rate(motion.clips[0].path)
    length = needed_frames(frames, clip_fps, fps)
    if length > len(path):
        return None
    return path.unfold(0, length, 1)[..., window(frames, clip_fps, fps)].transpose(1, 2)
