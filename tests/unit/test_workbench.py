"""What a process keeps between the cells of a benchmark, and what it lets go, on a real MLflow store."""

import gc
import shutil
import weakref

import pytest
import torch

from dreamvideo.params import TrackingParams, load_params
from dreamvideo.weights import save_weights
from flows.cells import load_adapter
from flows.customize import adapter_schema
from flows.plan import AdapterPlan
from flows.workbench import Workbench
from tests.conftest import empty_store
from tests.tiny import TinyModel

PLAN = AdapterPlan("motion", "zigzag", "0" * 64)


@pytest.fixture
def bench(tmp_path):
    shutil.copyfile(empty_store(), tmp_path / "mlflow.db")
    store = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path / "mlruns", experiment="adapters")
    bench = Workbench(load_params().model_copy(update={"tracking": store}))
    bench.base = TinyModel()
    return bench


@pytest.fixture
def run_id(bench, tmp_path):
    """A trained adapter's run."""
    path = tmp_path / "adapter.safetensors"
    save_weights(path, {"up.weight": torch.ones(3)}, adapter_schema(bench, PLAN))
    with bench.tracking.run("adapter", "motion zigzag", PLAN.key, {}) as record:
        bench.tracking.keep(record, path)
    return record.run_id


def test_an_adapter_is_fetched_once_and_not_kept_in_memory(bench, run_id, monkeypatch):
    fetched, fetch = [], bench.tracking.fetch
    monkeypatch.setattr(bench.tracking, "fetch", lambda run_id: fetched.append(run_id) or fetch(run_id))
    once, again = load_adapter(bench, PLAN, run_id), load_adapter(bench, PLAN, run_id)
    assert torch.equal(once["up.weight"], torch.ones(3)) and torch.equal(again["up.weight"], torch.ones(3))
    assert fetched == [run_id]
    kept = weakref.ref(once["up.weight"])
    del once, again
    gc.collect()
    assert kept() is None


def test_an_adapter_does_not_keep_the_base_model_that_it_was_loaded_for(bench, run_id):
    other = Workbench(bench.params)
    other.base = TinyModel()
    weights, kept = load_adapter(other, PLAN, run_id), weakref.ref(other.base.unet)
    assert kept() is not None and weights
    del other
    gc.collect()
    assert kept() is None
