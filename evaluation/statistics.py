"""Means over cells with confidence intervals. Subjects and motions both count as samples of a larger population.

The bootstrap resamples subjects and motions independently, as crossed random effects (Owen, "The pigeonhole
bootstrap", Annals of Applied Statistics 2007). Resampling single cells would treat 600 cells as 600 independent
trials. But they show only 20 subjects and 30 motions, so the intervals would be far too narrow.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dreamvideo.errors import InputError

CELL = ["subject", "motion", "prompt", "seed"]
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over ``n`` cells and its bootstrap interval. NaN if unknown."""

    mean: float
    low: float
    high: float
    n: int


def hierarchical_bootstrap(table: pd.DataFrame, resamples: int = 2000, seed: int = 0, level: float = LEVEL) -> Interval:
    """Mean of the cells, with a percentile interval over resampled subjects and resampled motions.

    With one subject, only the motions vary. So the interval says nothing about other subjects. The same holds for one
    motion. With one of each, nothing can be resampled, and the interval is NaN. Rows may come in any order.

    Args:
        table: one row a cell, with columns ``subject``, ``motion`` and ``value``. NaN values are left out.
            If there is a column ``status``, rows that are not ``finished`` are left out too.
        resamples: number of resamples.
        seed: decides the resamples.
        level: coverage of the interval, in (0, 1).

    Raises:
        InputError: a column is missing, ``resamples`` is below 1, or ``level`` is outside (0, 1).
    """
    _check_columns("table", table, ["subject", "motion", "value"])
    if resamples < 1:
        raise InputError(f"resamples: must be at least 1, got {resamples}")
    if not 0 < level < 1:
        raise InputError(f"level: must lie between 0 and 1, got {level}")
    known = _known(table).sort_values(["subject", "motion", "value"])
    if known.empty:
        return Interval(np.nan, np.nan, np.nan, 0)
    sums, counts = _crossing(known)
    mean = float(sums.sum() / counts.sum())
    if max(sums.shape) == 1:
        return Interval(mean, np.nan, np.nan, len(known))
    means = _resampled_means(sums - mean * counts, counts, resamples, np.random.default_rng(seed))
    tail = (1 - level) / 2
    # A resample without a known cell has no mean.
    low, high = mean + np.nanquantile(means, [tail, 1 - tail])
    return Interval(mean, float(low), float(high), len(known))


def paired_difference(
    first: pd.DataFrame, second: pd.DataFrame, resamples: int = 2000, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Mean of first minus second over the cells that both tables have. The interval is that of ``hierarchical_bootstrap``.

    Args:
        first: columns ``subject``, ``motion``, ``prompt``, ``seed`` and ``value``, one row a cell.
        second: likewise.
        resamples: how many.
        seed: decides the resamples.
        level: coverage of the interval, in (0, 1).

    Raises:
        InputError: a column is missing, or a table holds a cell twice.
    """
    for name, table in (("first", first), ("second", second)):
        _check_columns(name, table, [*CELL, "value"])
        twice = table[table.duplicated(CELL)]
        if len(twice):
            raise InputError(
                f"{name}: one row a cell, but {tuple(twice.iloc[0][CELL])} is there twice; "
                "compare two methods on one base model"
            )
    both = _known(first)[[*CELL, "value"]].merge(_known(second)[[*CELL, "value"]], on=CELL)
    both["value"] = both["value_x"] - both["value_y"]
    return hierarchical_bootstrap(both, resamples, seed, level)


def summarise(
    cells: pd.DataFrame, metrics: Iterable[str], resamples: int = 2000, seed: int = 0, level: float = LEVEL
) -> pd.DataFrame:
    """One row a metric: ``metric``, ``mean``, ``low``, ``high``, ``n`` scored cells and ``failed`` cells.

    Args:
        cells: columns ``subject``, ``motion``, maybe ``status``, and one column a metric, one row a cell.
        metrics: the names of those columns, in the order of the rows.
        resamples: how many.
        seed: decides the resamples.
        level: coverage of the interval, in (0, 1).

    Raises:
        InputError: a column is missing.
    """
    metrics = list(metrics)
    _check_columns("cells", cells, ["subject", "motion", *metrics])
    failed = int((cells["status"] != "finished").sum()) if "status" in cells else 0
    identity = [column for column in ("subject", "motion", "status") if column in cells]
    rows = []
    for metric in metrics:
        table = cells[identity].assign(value=cells[metric])
        found = hierarchical_bootstrap(table, resamples, seed, level)
        rows.append((metric, found.mean, found.low, found.high, found.n, failed))
    return pd.DataFrame(rows, columns=["metric", "mean", "low", "high", "n", "failed"])


def _known(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a value and did not fail."""
    known = table["value"].notna()
    return table[known & (table["status"] == "finished")] if "status" in table else table[known]


def _crossing(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values at each crossing: two arrays (subjects, motions)."""
    subject, subjects = pd.factorize(table["subject"], sort=True)
    motion, motions = pd.factorize(table["motion"], sort=True)
    sums, counts = np.zeros((2, len(subjects), len(motions)))
    np.add.at(sums, (subject, motion), table["value"].to_numpy(dtype=float))
    np.add.at(counts, (subject, motion), 1)
    return sums, counts


def _resampled_means(sums: np.ndarray, counts: np.ndarray, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Means (resamples,). The weight of a crossing is the product of the draws of its subject and of its motion."""
    subjects, motions = (random.multinomial(size, np.full(size, 1 / size), resamples) for size in sums.shape)
    total = ((subjects @ sums) * motions).sum(axis=1)
    weight = ((subjects @ counts) * motions).sum(axis=1)
    return np.divide(total, weight, out=np.full(resamples, np.nan), where=weight > 0)


def _check_columns(name: str, table: pd.DataFrame, columns: list[str]) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{name}: needs the columns {', '.join(columns)}; {', '.join(missing)} is missing")
