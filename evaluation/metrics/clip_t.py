"""CLIP-T: does the video show what the prompt says?"""

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import metric


@metric(
    "clip_t",
    label="CLIP-T",
    description="Mean CLIP cosine of every frame and the prompt with the class word",
    source="DreamVideo, Section 4.1; Radford et al. 2021",
    order=1,
)
def clip_t(features: VideoFeatures) -> float:
    """Mean cosine of frames (F, D) and prompt (D,)."""
    return (features.clip_frames.double() @ features.clip_prompt.double()).mean().item()
