"""Metrics: pure functions on the features of one video. A module of this folder registers by being there."""

import importlib
import pkgutil

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import METRICS, Metric, metric

__all__ = ["METRICS", "Metric", "VideoFeatures", "metric", "metric_names", "score"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def metric_names() -> list[str]:
    """The names of all metrics, in the order in which tables show them."""
    return sorted(METRICS, key=lambda name: (METRICS[name].order, name))


def score(features: VideoFeatures) -> dict[str, float]:
    """All scores of one video, by the name of the metric; a score that is not known is NaN."""
    return {name: METRICS[name](features) for name in metric_names()}
