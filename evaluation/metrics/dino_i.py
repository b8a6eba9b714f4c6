"""DINO-I: does the video show the subject of the reference images, according to DINO? DINO sees more than the class."""

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import metric


@metric(
    "dino_i",
    label="DINO-I",
    description="Mean DINO cosine of every frame and every reference image",
    source="DreamVideo, Section 4.1; Ruiz et al. 2023 (DreamBooth); Caron et al. 2021",
    order=3,
)
def dino_i(features: VideoFeatures) -> float:
    """Mean cosine over all pairs of frames (F, E) and references (R, E)."""
    return (features.dino_frames.double() @ features.dino_references.double().T).mean().item()
