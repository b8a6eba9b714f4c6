"""Temporal consistency: does each frame continue the one before?"""

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import metric


@metric(
    "temporal_consistency",
    label="T. Cons.",
    description="Temporal consistency: mean CLIP cosine of consecutive frames",
    source="DreamVideo, Section 4.1; Esser et al. 2023",
    order=4,
)
def temporal_consistency(features: VideoFeatures) -> float:
    """Mean cosine of frames (F, D) one step apart; NaN for one frame."""
    frames = features.clip_frames.double()
    return (frames[1:] * frames[:-1]).sum(-1).mean().item()
