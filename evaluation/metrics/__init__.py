"""Metrics: pure functions on the features of one video. Every module of this folder is imported and registers itself."""

import importlib
import pkgutil
from collections.abc import Iterable

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import METRICS, Metric, metric

__all__ = ["METRICS", "Metric", "VideoFeatures", "metric", "metric_names", "metric_revisions", "score"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def metric_names() -> list[str]:
    """The names of all metrics, in the order of the tables."""
    return sorted(METRICS, key=lambda name: (METRICS[name].order, name))


def metric_revisions() -> dict[str, int]:
    """The revision of every metric, in the order of :func:`metric_names`."""
    return {name: METRICS[name].revision for name in metric_names()}


def score(features: VideoFeatures, names: Iterable[str] | None = None) -> dict[str, float]:
    """Scores of one video by metric; a score that is not known is NaN.

    Args:
        features: of the video.
        names: of metrics; None stands for all.
    """
    return {name: METRICS[name](features) for name in (metric_names() if names is None else names)}
