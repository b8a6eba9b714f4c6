"""Metrics: pure functions on the features of one video. Every module of this folder is imported and registers itself."""

import importlib
import pkgutil

from evaluation.metrics.features import VideoFeatures
from evaluation.metrics.metric import METRICS, Metric, metric

__all__ = ["METRICS", "Metric", "VideoFeatures", "metric", "metric_names", "score"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def metric_names() -> list[str]:
    """The names of all metrics, in the order of the tables."""
    return sorted(METRICS, key=lambda name: (METRICS[name].order, name))


def score(features: VideoFeatures) -> dict[str, float]:
    """All scores of one video, by the name of the metric; an unknown score is NaN."""
    return {name: METRICS[name](features) for name in metric_names()}
