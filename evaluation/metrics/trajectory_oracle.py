"""Trajectory oracle: does the subject follow the motion's trajectory? Only the pocket world can tell."""

import math

from torch import Tensor

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import metric


@metric(
    "trajectory_oracle",
    label="Trajectory oracle",
    description="Agreement of the subject's path with the true one: 1 if equal, 0 for a frozen clip",
    source="This project: the procedural world",
    order=6,
)
def trajectory_oracle(features: VideoFeatures) -> float:
    """Agreement of the centroids (F, 2) with the nearest true trajectory of (W, F, 2); NaN if either is unknown."""
    if features.centroids is None or features.trajectories is None:
        return math.nan
    return max(agreement(features.centroids, trajectory) for trajectory in features.trajectories)


def agreement(p: Tensor, q: Tensor) -> float:
    """The agreement of two paths, wherever they lie: sum(p.q) / max(sum|p|^2, sum|q|^2), both centred.

    By Cauchy-Schwarz it lies in [-1, 1] and is 1 only for equal paths. Unlike a correlation, it falls if one path is a
    smaller copy of the other. Two paths that both stay in place are equal.

    Args:
        p: (F, 2) positions.
        q: (F, 2) positions at the same times.
    """
    p, q = (path.double() - path.double().mean(0) for path in (p, q))
    reach = max(p.square().sum().item(), q.square().sum().item())
    return 1.0 if reach == 0 else (p * q).sum().item() / reach
