"""Subject oracle: is it this subject, among all known subjects? Only the pocket world can tell."""

import math

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import metric


@metric(
    "subject_oracle",
    label="Subject oracle",
    description="Mean over frames of the oracle's posterior of the right subject, among all known subjects",
    source="This project: the procedural world",
    bounds=(0.0, 1.0),
    order=5,
)
def subject_oracle(features: VideoFeatures) -> float:
    """Mean over frames of softmax over K of the scores (F, K), at the right subject; NaN if unknown."""
    if features.subject_log_probabilities is None or features.subject_index is None:
        return math.nan
    posterior = features.subject_log_probabilities.double().softmax(dim=-1)
    return posterior[:, features.subject_index].mean().item()
