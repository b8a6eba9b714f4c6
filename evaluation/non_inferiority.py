"""The test that one result is no worse than another: bounds on the loss of several metrics, which hold together.

A metric passes if the lower confidence bound of its gain lies at or above minus its margin. So a metric with too few
measurements does not pass. The bounds are one-sided and Bonferroni-corrected. So all bounds hold together with the
requested confidence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from dreamvideo.errors import InputError, unknown_name
from evaluation.metrics import METRICS
from evaluation.statistics import CELL, paired_difference

ROUNDING = 1e-12


@dataclass(frozen=True)
class MetricComparison:
    """The result of one metric over paired cells.

    Attributes:
        metric: its name.
        challenger: mean over the pairs.
        champion: mean over the pairs.
        gain: of the challenger over the champion; above 0 is better, for every metric.
        bound: the lower confidence bound of the gain; NaN if nothing can be resampled.
        margin: the accepted loss.
        pairs: the number of cells for which both have a score.
        reason: why the metric does not pass; empty if it passes.
    """

    metric: str
    challenger: float
    champion: float
    gain: float
    bound: float
    margin: float
    pairs: int
    reason: str

    @property
    def passes(self) -> bool:
        """Whether the challenger is shown to be no worse by more than the margin."""
        return not self.reason


def check_margins(margins: Mapping[str, float], where: str) -> None:
    """Refuse a margin of a metric that has no better or worse.

    Raises:
        InputError: the first metric that is unknown or has no better or worse; ``where`` stands before its name.
    """
    for name in margins:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS, where)
        if METRICS[name].higher_is_better is None:
            raise InputError(
                f"{where}{name}: more of {METRICS[name].label} is neither better nor worse, so it can have no margin; "
                "remove it"
            )


def non_inferiority(
    challenger: pd.DataFrame, champion: pd.DataFrame, margins: Mapping[str, float], confidence: float, resamples: int
) -> list[MetricComparison]:
    """Compare a challenger with a champion over the cells of both.

    Args:
        challenger: columns ``subject``, ``motion``, ``prompt`` and ``seed``, and one a metric; one row a cell.
        champion: likewise.
        margins: by metric, the loss that is accepted.
        confidence: the probability that all bounds hold together; above 0.5.
        resamples: number of resamples of the bootstrap.

    Returns:
        One comparison for each margin, in the order of the margins.
    """
    tail = (1 - confidence) / len(margins)
    return [_compare(challenger, champion, name, margin, tail, resamples) for name, margin in margins.items()]


def _compare(
    challenger: pd.DataFrame, champion: pd.DataFrame, metric: str, margin: float, tail: float, resamples: int
) -> MetricComparison:
    tables = [table[[*CELL, metric]].rename(columns={metric: "value"}) for table in (challenger, champion)]
    first, second = tables
    found = paired_difference(first, second, resamples=resamples, level=1 - 2 * tail)
    pairs = first.merge(second, on=CELL, suffixes=(".challenger", ".champion")).dropna()
    higher = METRICS[metric].higher_is_better
    gain, bound = (found.mean, found.low) if higher else (-found.mean, -found.high)
    return MetricComparison(
        metric,
        pairs["value.challenger"].mean(),
        pairs["value.champion"].mean(),
        gain,
        bound,
        margin,
        found.n,
        _too_few(pairs, tail) or ("" if bound >= -margin - ROUNDING else f"may be worse by {-bound:.4f}"),
    )


def _too_few(pairs: pd.DataFrame, tail: float) -> str:
    """The reason why there are too few subjects or motions for a result; empty if there are enough."""
    # By chance alone, all n differences lie on one given side of the truth with probability 2^-n. If this is more than the
    # tail, even a unanimous result proves nothing, and the bootstrap interval is far too narrow.
    fewest = math.ceil(-math.log2(tail))
    counts = {kind: pairs[kind].nunique() for kind in ("subject", "motion")}
    if not len(pairs):
        return "no score in common"
    if max(counts.values()) == 1:
        return f"1 subject and 1 motion; needs {fewest} of either"
    return next((f"{n} {kind}s; needs {fewest}" for kind, n in counts.items() if 1 < n < fewest), "")
