"""Motion magnitude: the change from frame to frame. A frozen clip is consistent, but scores 0."""

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import metric


@metric(
    "motion_magnitude",
    label="Motion",
    description="Mean absolute grey-level difference of consecutive frames, in [0, 1]; more is not better",
    source="This project; to be read beside temporal consistency, which a frozen clip maximises",
    higher_is_better=None,
    bounds=(0.0, 1.0),
    format=".4f",
    order=7,
)
def motion_magnitude(features: VideoFeatures) -> float:
    """Mean over pixels and steps of |grey(f + 1) - grey(f)|, grey = ITU-R BT.601 luma; NaN for one frame."""
    frames = features.frames.double()
    grey = (frames * frames.new_tensor((0.299, 0.587, 0.114))[:, None, None]).sum(1)
    return (grey[1:] - grey[:-1]).abs().mean().item()
