"""A catalog in miniature, parameters whose weights are tiny, and what is planned of both."""

from pathlib import Path

import pytest

from dreamvideo.params import load_params
from tests.support.tiny_plans import changed, entries, plan, write_catalog, write_weights

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def catalog(tmp_path):
    return write_catalog(tmp_path / "data", entries())


@pytest.fixture
def params(tmp_path):
    shipped = load_params(ROOT / "params.yaml", "pocket")
    return changed(
        changed(shipped, "base_model", weights=write_weights(tmp_path / "base", 1.0)),
        "evaluation",
        weights=write_weights(tmp_path / "metrics", 2.0),
    )


@pytest.fixture
def before(params, catalog):
    return plan(params, catalog)
