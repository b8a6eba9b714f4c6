"""What a process keeps between the cells of a benchmark, and what it lets go, on a real MLflow store."""

import gc
import shutil
import weakref

import pytest
import torch

from dreamvideo.params import TrackingParams, load_params
from dreamvideo.weights import save_weights
from flows.execution.adapters import adapter_schema
from flows.execution.cells import load_adapter
from flows.execution.resources import Resources
from flows.planning.keys import AdapterPlan
from flows.tracking.schema import Kind
from tests.conftest import empty_store
from tests.support.tiny import TinyModel

PLAN = AdapterPlan("motion", "zigzag", "0" * 64)


@pytest.fixture
def resources(tmp_path):
    shutil.copyfile(empty_store(), tmp_path / "mlflow.db")
    store = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path / "mlruns", experiment="adapters")
    resources = Resources(load_params().model_copy(update={"tracking": store}))
    resources.base = TinyModel()
    return resources


@pytest.fixture
def run_id(resources, tmp_path):
    """A trained adapter's run."""
    path = tmp_path / "adapter.safetensors"
    save_weights(path, {"up.weight": torch.ones(3)}, adapter_schema(resources, PLAN))
    with resources.tracking.run(Kind.ADAPTER, "motion zigzag", PLAN.key, {}) as record:
        resources.tracking.keep(record, path)
    return record.run_id


def test_an_adapter_is_fetched_once_and_not_kept_in_memory(resources, run_id, monkeypatch):
    artifacts, fetched = resources.tracking.artifacts, []
    fetch = artifacts.fetch
    monkeypatch.setattr(artifacts, "fetch", lambda run_id: fetched.append(run_id) or fetch(run_id))
    once, again = load_adapter(resources, PLAN, run_id), load_adapter(resources, PLAN, run_id)
    assert torch.equal(once["up.weight"], torch.ones(3)) and torch.equal(again["up.weight"], torch.ones(3))
    assert fetched == [run_id]
    kept = weakref.ref(once["up.weight"])
    del once, again
    gc.collect()
    assert kept() is None


def test_an_adapter_does_not_keep_the_base_model_that_it_was_loaded_for(resources, run_id):
    other = Resources(resources.params)
    other.base = TinyModel()
    weights, kept = load_adapter(other, PLAN, run_id), weakref.ref(other.base.denoiser)
    assert kept() is not None and weights
    del other
    gc.collect()
    assert kept() is None
