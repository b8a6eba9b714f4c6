"""The bounds that decide over a promotion, against cases whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest

from dreamvideo.errors import InputError
from evaluation.non_inferiority import check_margins, non_inferiority

METRICS = ["clip_t", "clip_i", "dino_i", "temporal_consistency"]
MARGINS = dict.fromkeys(METRICS, 0.02)


def cells(motions: int = 12, subjects: int = 1, **values) -> pd.DataFrame:
    """One cell at every crossing; ``values`` map the indices of subject and motion to a score, by metric."""
    rows = [
        {"subject": f"s{s:02}", "motion": f"m{m:02}", "prompt": "a *", "seed": 0}
        | {name: values.get(name, lambda s, m: 0.5 + 0.01 * m)(s, m) for name in METRICS}
        for s in range(subjects)
        for m in range(motions)
    ]
    return pd.DataFrame(rows)


def decided(challenger, champion, margins=MARGINS, confidence=0.95):
    return {found.metric: found for found in non_inferiority(challenger, champion, margins, confidence, 2000)}


def test_equal_results_pass_with_a_bound_of_zero():
    found = decided(cells(), cells(), dict.fromkeys(METRICS, 0.0))
    assert list(found) == METRICS and all(one.passes for one in found.values())
    assert [(one.gain, one.bound, one.pairs) for one in found.values()] == [(0.0, 0.0, 12)] * 4


def test_one_metric_beyond_its_margin_fails_alone():
    worse = cells(dino_i=lambda s, m: 0.5 + 0.01 * m - 0.03)
    found = decided(worse, cells())
    assert [name for name, one in found.items() if not one.passes] == ["dino_i"]
    assert found["dino_i"].gain == pytest.approx(-0.03) and found["dino_i"].bound == pytest.approx(-0.03)
    assert found["dino_i"].reason == "may be worse by 0.0300"


def test_a_loss_within_the_margin_passes_and_at_the_margin_too():
    assert decided(cells(dino_i=lambda s, m: 0.5 + 0.01 * m - 0.02), cells())["dino_i"].passes


def test_a_better_mean_that_is_too_uncertain_does_not_pass():
    random = np.random.default_rng(0)
    noise = random.normal(0.01, 0.2, 12)
    found = decided(cells(clip_t=lambda s, m: 0.5 + 0.01 * m + noise[m]), cells())["clip_t"]
    assert found.gain > 0 and found.bound < -0.02 and not found.passes


def test_the_correction_for_several_metrics_decides():
    """A spread at which one metric alone passes, and the same metric among four does not."""
    spread = np.linspace(-0.03, 0.03, 12)
    challenger = cells(clip_t=lambda s, m: 0.5 + 0.01 * m + spread[m])
    alone = decided(challenger, cells(), {"clip_t": 0.0105})["clip_t"]
    among = decided(challenger, cells(), MARGINS | {"clip_t": 0.0105})["clip_t"]
    assert alone.passes and not among.passes
    assert among.bound < alone.bound


def test_the_bounds_are_those_of_the_confidence_over_the_number_of_metrics():
    spread = np.linspace(-0.5, 0.5, 40)
    challenger = cells(40, clip_t=lambda s, m: 0.5 + 0.01 * m + spread[m])
    found = non_inferiority(challenger, cells(40), MARGINS, 0.95, 40_000)[0]
    deviations = 2.2414  # of the normal distribution, 0.05 / 4 lie below
    assert found.bound == pytest.approx(-deviations * np.std(spread) / math.sqrt(40), rel=0.05)


def test_bounds_hold_together_about_as_often_as_they_say():
    """Truly equal pairs of 20 motions: all four lower bounds lie below zero in at least about 95% of trials."""
    random = np.random.default_rng(1)
    held = 0
    for _ in range(150):
        noise = {name: random.normal(0, 0.1, 20) for name in METRICS}
        challenger = cells(20, **{name: lambda s, m, n=noise[name]: 0.5 + 0.01 * m + n[m] for name in METRICS})
        held += all(one.bound <= 0 for one in non_inferiority(challenger, cells(20), MARGINS, 0.95, 400))
    assert held / 150 >= 0.88


def test_lower_is_better_turns_gain_and_bound_around(monkeypatch):
    from evaluation import non_inferiority as module
    from evaluation.metrics import METRICS as registry
    from evaluation.metrics import Metric

    known = {"clip_t": registry["clip_t"], "clip_i": Metric(lambda f: 0.0, "clip_i", "x", "x", "x", False)}
    monkeypatch.setattr(module, "METRICS", known)
    higher = cells(clip_t=lambda s, m: 0.9, clip_i=lambda s, m: 0.9)
    lower = cells(clip_t=lambda s, m: 0.8, clip_i=lambda s, m: 0.8)
    found = decided(higher, lower, {"clip_t": 0.01, "clip_i": 0.01})
    assert found["clip_t"].gain == pytest.approx(0.1) and found["clip_t"].passes
    assert found["clip_i"].gain == pytest.approx(-0.1) and not found["clip_i"].passes


@pytest.mark.parametrize(
    ("margins", "motions", "passes"),
    [({"clip_t": 0.02}, 4, False), ({"clip_t": 0.02}, 5, True), (MARGINS, 6, False), (MARGINS, 7, True)],
)
def test_so_few_motions_that_nothing_could_be_shown_do_not_pass(margins, motions, passes):
    found = decided(cells(motions), cells(motions), margins)["clip_t"]
    assert found.passes == passes
    assert passes or found.reason == f"{motions} motions; needs {motions + 1}"


def test_few_subjects_are_too_few_even_with_many_motions_but_one_is_what_it_is_about():
    assert decided(cells(12, subjects=3), cells(12, subjects=3))["clip_t"].reason == "3 subjects; needs 7"
    assert decided(cells(12, subjects=8), cells(12, subjects=8))["clip_t"].passes
    assert decided(cells(1), cells(1))["clip_t"].reason == "1 subject and 1 motion; needs 7 of either"


def test_no_cells_in_common_and_scores_that_are_not_known_do_not_pass():
    found = decided(cells(), cells().assign(seed=1))
    assert all(one.reason == "no score in common" and one.pairs == 0 for one in found.values())
    unknown = decided(cells(clip_i=lambda s, m: math.nan), cells())
    assert unknown["clip_i"].reason == "no score in common" and unknown["clip_t"].passes


def test_margins_are_of_metrics_that_can_be_worse():
    check_margins(MARGINS, "promotion.margins.")
    with pytest.raises(InputError, match=r"'promotion.margins.clip_s'.*'promotion.margins.clip_"):
        check_margins({"clip_s": 0.1}, "promotion.margins.")
    with pytest.raises(InputError, match=r"promotion\.margins\.motion_magnitude"):
        check_margins({"motion_magnitude": 0.1}, "promotion.margins.")
