"""Statistics against closed forms and known designs."""

import math
import time

import numpy as np
import pandas as pd
import pytest

from dreamvideo.errors import InputError
from evaluation.statistics import hierarchical_bootstrap, paired_difference, summarise


def crossed(subjects: int, motions: int, value) -> pd.DataFrame:
    """One cell at every crossing; ``value`` maps the two indices to its value."""
    rows = [(f"s{s:02}", f"m{m:02}", "a *", 0, value(s, m)) for s in range(subjects) for m in range(motions)]
    return pd.DataFrame(rows, columns=["subject", "motion", "prompt", "seed", "value"])


def test_constant_cells_have_an_interval_of_no_width() -> None:
    found = hierarchical_bootstrap(crossed(4, 5, lambda s, m: 0.3))
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3), abs=1e-12)
    assert found.n == 20


def test_same_seed_same_interval_in_any_order_of_rows() -> None:
    table = crossed(4, 5, lambda s, m: math.sin(3 * s + m))
    shuffled = table.sample(frac=1, random_state=1)
    assert hierarchical_bootstrap(table, seed=3) == hierarchical_bootstrap(shuffled, seed=3)
    assert hierarchical_bootstrap(table, seed=3) != hierarchical_bootstrap(table, seed=4)


def test_spread_between_subjects_alone_gives_the_interval_of_a_bootstrap_of_subjects() -> None:
    count = 50
    found = hierarchical_bootstrap(crossed(count, 7, lambda s, m: float(s)), resamples=20_000)
    half = 1.96 * np.std(np.arange(count)) / math.sqrt(count)
    assert found.mean == pytest.approx((count - 1) / 2)
    assert found.high - found.mean == pytest.approx(half, rel=0.05)
    assert found.mean - found.low == pytest.approx(half, rel=0.05)


def test_is_wider_than_cells_taken_as_independent() -> None:
    found = hierarchical_bootstrap(crossed(20, 30, lambda s, m: float(s % 2)))
    naive = 2 * 1.96 * 0.5 / math.sqrt(600)
    assert found.high - found.low > 4 * naive


def test_covers_the_truth_of_a_crossed_design_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        effects = random.normal(size=(15, 1)) + random.normal(size=20) + 0.5 * random.normal(size=(15, 20))
        table = crossed(15, 20, lambda s, m, effects=effects: effects[s, m])
        found = hierarchical_bootstrap(table, resamples=400, seed=trial)
        covered += found.low <= 0 <= found.high
    assert 0.87 <= covered / 200 <= 0.99


def test_missing_and_failed_cells_are_left_out_and_never_zero() -> None:
    table = crossed(3, 3, lambda s, m: 1.0).assign(status="finished")
    table.loc[0, "value"] = math.nan
    table.loc[1, ["value", "status"]] = [50.0, "failed"]
    found = hierarchical_bootstrap(table)
    assert (found.mean, found.low, found.high, found.n) == (1.0, 1.0, 1.0, 7)


def test_sparse_crossings_ignore_resamples_that_meet_no_cell() -> None:
    diagonal = crossed(3, 3, lambda s, m: float(s) if s == m else math.nan)
    found = hierarchical_bootstrap(diagonal)
    assert found.n == 3 and 0 <= found.low < 1 < found.high <= 2


def test_one_subject_varies_by_motion_alone() -> None:
    found = hierarchical_bootstrap(crossed(1, 30, lambda s, m: float(m)))
    assert found.low < found.mean < found.high


def test_nothing_to_resample_has_no_interval() -> None:
    one = hierarchical_bootstrap(crossed(1, 1, lambda s, m: 0.7))
    assert one.mean == 0.7 and math.isnan(one.low) and math.isnan(one.high) and one.n == 1
    none = hierarchical_bootstrap(crossed(2, 2, lambda s, m: math.nan))
    assert math.isnan(none.mean) and math.isnan(none.low) and none.n == 0


def test_six_hundred_cells_take_less_than_a_second() -> None:
    table = crossed(20, 30, lambda s, m: s * 0.1 + m)
    start = time.perf_counter()
    hierarchical_bootstrap(table, resamples=2000)
    assert time.perf_counter() - start < 1


def test_a_paired_difference_cancels_what_both_share() -> None:
    base = crossed(4, 5, lambda s, m: 10.0 * s + m)
    better = base.assign(value=base["value"] + 0.5)
    found = paired_difference(better, base)
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    backwards = paired_difference(base, better)
    assert backwards.mean == pytest.approx(-found.mean)


def test_a_paired_difference_is_over_the_cells_of_both() -> None:
    base = crossed(3, 3, lambda s, m: 1.0)
    other = base.drop(index=[0]).assign(value=3.0)
    other.loc[1, "value"] = math.nan
    assert paired_difference(other, base).n == 7
    assert paired_difference(other.assign(seed=1), base).n == 0
    with pytest.raises(InputError, match="twice"):
        paired_difference(pd.concat((base, base)), base)


def test_summary_has_a_row_a_metric() -> None:
    cells = crossed(3, 4, lambda s, m: 0.5).rename(columns={"value": "clip_t"})
    cells = cells.assign(status="finished", dino_i=math.nan)
    cells.loc[2, "status"] = "failed"
    summary = summarise(cells, ["clip_t", "dino_i"])
    assert list(summary.columns) == ["metric", "mean", "low", "high", "n", "failed"]
    assert list(summary["metric"]) == ["clip_t", "dino_i"]
    assert list(summary["n"]) == [11, 0] and list(summary["failed"]) == [1, 1]
    assert summary["mean"][0] == 0.5 and math.isnan(summary["mean"][1])


@pytest.mark.parametrize("changes", [{"resamples": 0}, {"level": 1.0}])
def test_bad_settings_are_refused(changes: dict) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        hierarchical_bootstrap(crossed(2, 2, lambda s, m: 1.0), **changes)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="motion is missing"):
        hierarchical_bootstrap(crossed(2, 2, lambda s, m: 1.0).drop(columns="motion"))
    with pytest.raises(InputError, match="clip_t"):
        summarise(crossed(2, 2, lambda s, m: 1.0), ["clip_t"])
