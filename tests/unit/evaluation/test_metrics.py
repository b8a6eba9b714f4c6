"""Metrics by identity, symmetry, closed form and bounds."""

import dataclasses
import math
import re

import pytest
import torch
from torch.nn.functional import normalize

from dreamvideo.errors import InputError
from evaluation.metrics import METRICS, VideoFeatures, metric_names, score
from evaluation.metrics.trajectory_oracle import agreement

FRAMES, WIDTH, REFERENCES, SUBJECTS = 6, 16, 3, 4


def features(seed: int = 0, count: int = FRAMES, **changes: object) -> VideoFeatures:
    """Random features of a video of which the whole truth is known."""
    random = torch.Generator().manual_seed(seed)

    def directions(*shape: int) -> torch.Tensor:
        return normalize(torch.randn(*shape, generator=random), dim=-1)

    known = VideoFeatures(
        frames=torch.rand(count, 3, 8, 8, generator=random),
        clip_frames=directions(count, WIDTH),
        clip_prompt=directions(WIDTH),
        clip_references=directions(REFERENCES, WIDTH),
        dino_frames=directions(count, WIDTH // 2),
        dino_references=directions(REFERENCES, WIDTH // 2),
        subject_log_probabilities=torch.randn(count, SUBJECTS, generator=random),
        subject_index=2,
        centroids=torch.randn(count, 2, generator=random),
        trajectories=torch.randn(3, count, 2, generator=random),
    )
    return dataclasses.replace(known, **changes)


@pytest.mark.parametrize("name", METRICS)
class TestContract:
    """What holds for every metric that is registered."""

    def test_is_described(self, name: str) -> None:
        metric = METRICS[name]
        assert metric.name == name and re.fullmatch("[a-z][a-z0-9_]*", name), "it names columns, tags and files"
        assert metric.revision >= 1
        assert metric.label and metric.description and metric.source
        assert "\n" not in metric.description
        assert metric.higher_is_better in (True, False, None)
        assert metric.print(0.5).startswith("0.5")
        assert metric.print(math.nan) == metric.print(None) == "—"

    @pytest.mark.parametrize("seed", range(5))
    def test_is_a_number_within_its_bounds(self, name: str, seed: int) -> None:
        low, high = METRICS[name].bounds
        value = METRICS[name](features(seed))
        assert type(value) is float
        assert low - 1e-6 <= value <= high + 1e-6

    def test_is_pure(self, name: str) -> None:
        given = features()
        before = {k: v.clone() for k, v in vars(given).items() if isinstance(v, torch.Tensor)}
        assert METRICS[name](given) == METRICS[name](given)
        assert all(torch.equal(before[key], getattr(given, key)) for key in before)

    def test_one_frame_gives_a_number_or_nan(self, name: str) -> None:
        assert isinstance(METRICS[name](features(count=1)), float)

    def test_playing_backwards_the_truth_as_well_changes_nothing(self, name: str) -> None:
        given = features()
        per_frame = (
            "frames",
            "clip_frames",
            "dino_frames",
            "subject_log_probabilities",
            "centroids",
        )
        flipped = {key: getattr(given, key).flip(0) for key in per_frame}
        backwards = dataclasses.replace(given, **flipped, trajectories=given.trajectories.flip(1))
        assert METRICS[name](backwards) == pytest.approx(METRICS[name](given))


def test_score_runs_every_metric_in_order() -> None:
    assert list(score(features())) == metric_names()
    assert score(features(), ["dino_i"]) == {"dino_i": score(features())["dino_i"]}
    assert metric_names()[:4] == ["clip_t", "clip_i", "dino_i", "temporal_consistency"]


def test_what_is_not_known_is_nan_and_never_zero() -> None:
    scores = score(features(subject_index=None, trajectories=None))
    assert math.isnan(scores["subject_oracle"]) and math.isnan(scores["trajectory_oracle"])
    assert math.isnan(METRICS["subject_oracle"](features(subject_log_probabilities=None)))
    assert math.isnan(METRICS["trajectory_oracle"](features(centroids=None)))
    one = score(features(count=1))
    assert math.isnan(one["temporal_consistency"]) and math.isnan(one["motion_magnitude"])
    assert math.isfinite(one["clip_t"])
    assert math.isnan(METRICS["clip_i"](features(clip_references=torch.empty(0, WIDTH))))


def test_what_equals_its_reference_scores_one() -> None:
    direction = normalize(torch.ones(WIDTH), dim=0)
    path = torch.randn(FRAMES, 2)
    scores = score(
        features(
            clip_frames=direction.expand(FRAMES, -1),
            clip_prompt=direction,
            clip_references=direction.expand(2, -1),
            dino_frames=direction.expand(FRAMES, -1),
            dino_references=direction.expand(2, -1),
            centroids=path,
            trajectories=torch.stack((-path, path + 3)),
        )
    )
    for name in ("clip_t", "clip_i", "dino_i", "temporal_consistency", "trajectory_oracle"):
        assert scores[name] == pytest.approx(1.0, abs=1e-6), name


def test_closed_forms() -> None:
    east, north = torch.eye(2)
    clip = torch.stack((east, north, east, east))
    given = features(count=4, clip_frames=clip, clip_prompt=east, clip_references=torch.stack((east, north)))
    assert METRICS["clip_t"](given) == 0.75
    assert METRICS["clip_i"](given) == 0.5
    assert METRICS["temporal_consistency"](given) == pytest.approx(1 / 3)


def test_image_similarity_is_symmetric_in_frames_and_references() -> None:
    given = features()
    swapped = dataclasses.replace(
        given,
        frames=given.frames[:REFERENCES],
        clip_frames=given.clip_references,
        clip_references=given.clip_frames,
        dino_frames=given.dino_references,
        dino_references=given.dino_frames,
        subject_log_probabilities=None,
        centroids=None,
        trajectories=None,
    )
    for name in ("clip_i", "dino_i"):
        assert METRICS[name](swapped) == pytest.approx(METRICS[name](given))


def test_motion_magnitude_of_a_grey_ramp_is_its_step() -> None:
    ramp = torch.linspace(0, 0.5, FRAMES)[:, None, None, None].expand(-1, 3, 8, 8)
    assert METRICS["motion_magnitude"](features(frames=ramp)) == pytest.approx(0.1)
    assert METRICS["motion_magnitude"](features(frames=torch.full_like(ramp, 0.3))) == 0


def test_subject_oracle_is_the_posterior() -> None:
    even = torch.zeros(FRAMES, SUBJECTS)
    assert METRICS["subject_oracle"](features(subject_log_probabilities=even)) == pytest.approx(1 / SUBJECTS)
    sure = even.clone()
    sure[: FRAMES // 2, 2] = 100
    sure[FRAMES // 2 :, 1] = 100
    assert METRICS["subject_oracle"](features(subject_log_probabilities=sure)) == pytest.approx(0.5)


def test_agreement_of_trajectories() -> None:
    p, q = torch.randn(2, FRAMES, 2)
    assert agreement(p, p + torch.tensor([2.0, -1.0])) == pytest.approx(1)
    assert agreement(p, q) == pytest.approx(agreement(q, p))
    assert agreement(p, torch.zeros_like(p)) == 0
    centred = p - p.mean(0)
    assert agreement(p, -centred) == pytest.approx(-1)
    assert agreement(p, 0.5 * centred) == pytest.approx(0.5)
    assert agreement(p, 2 * centred) == pytest.approx(0.5)
    assert agreement(torch.ones(4, 2), torch.zeros(4, 2)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": torch.zeros(FRAMES, 8, 8)}, "frames: needs shape"),
        ({"clip_frames": torch.zeros(FRAMES + 1, WIDTH)}, "clip_frames: needs shape"),
        ({"clip_references": torch.zeros(2, WIDTH + 1)}, "clip_references: needs shape"),
        ({"trajectories": torch.zeros(1, FRAMES, 3)}, "trajectories: needs shape"),
        ({"subject_index": SUBJECTS}, "subject_index"),
    ],
)
def test_features_that_disagree_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        features(**changes)


def test_an_unknown_metric_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'clip_t'"):
        METRICS["clipt"]
