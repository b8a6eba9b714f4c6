"""How the paper's stages are trained, detail by detail, where only the outcome would show it, on a tiny base model."""

import pytest

from tests.method_trials import both, build
from tests.tiny import TinyModel


@pytest.fixture
def watched(monkeypatch):
    """A base model, and what it was asked to predict of: whether it was in training, and how many clips."""
    base, seen = TinyModel(), []
    predict = base.predict
    monkeypatch.setattr(
        base, "predict", lambda noisy, *given: seen.append((base.unet.training, len(noisy))) or predict(noisy, *given)
    )
    return base, seen


def test_dropout_is_on_at_every_step_of_every_stage_and_off_afterwards(watched):
    base, seen = watched
    both(build(steps=2), base)
    assert [in_training for in_training, _ in seen] == [True] * 6
    assert not base.unet.training
