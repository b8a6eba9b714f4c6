"""CLIP-I: does the video show the subject of the reference images, according to CLIP?"""

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import metric


@metric(
    "clip_i",
    label="CLIP-I",
    description="Mean CLIP cosine of every frame and every reference image",
    source="DreamVideo, Section 4.1; Ruiz et al. 2023 (DreamBooth)",
    order=2,
)
def clip_i(features: VideoFeatures) -> float:
    """Mean cosine over all pairs of frames (F, D) and references (R, D)."""
    return (features.clip_frames.double() @ features.clip_references.double().T).mean().item()
