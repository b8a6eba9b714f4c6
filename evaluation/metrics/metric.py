"""The class of a metric, and the decorator that turns a function into one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dreamvideo.registry import Registry
from evaluation.metrics.features import VideoFeatures

Score = Callable[[VideoFeatures], float]


@dataclass(frozen=True)
class Metric:
    """A scorer of one video, with the texts that explain its scores.

    Attributes:
        score: features of a video -> number; NaN if the score is unknown.
        name: as in tables and parameters.
        label: as printed.
        description: what it measures, in one line.
        source: where its definition comes from.
        higher_is_better: None for a metric that only informs.
        bounds: the lowest and the highest possible score.
        format: how a score is printed, as for ``format``.
        order: place among the metrics, in tables and reports.
        revision: raise it when the code of the metric changes its scores. Then a benchmark computes this metric again
            for every finished video, and no other.
    """

    score: Score
    name: str
    label: str
    description: str
    source: str
    higher_is_better: bool | None = True
    bounds: tuple[float, float] = (-1.0, 1.0)
    format: str = ".3f"
    order: int = 100
    revision: int = 1

    def __call__(self, features: VideoFeatures) -> float:
        """The score of one video; NaN if unknown."""
        return float(self.score(features))

    def print(self, value: float | None) -> str:
        """A score as text; a dash if unknown."""
        return "—" if value is None or not math.isfinite(value) else format(value, self.format)


METRICS: Registry[Metric] = Registry("metric")


def metric(name: str, **description: Any) -> Callable[[Score], Metric]:
    """Decorator: enter a function on features into METRICS.

    Args:
        name: as in tables and parameters.
        description: the other fields of ``Metric``.
    """

    def enter(score: Score) -> Metric:
        return METRICS.register(name)(Metric(score=score, name=name, **description))

    return enter
