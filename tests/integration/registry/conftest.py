"""Two benchmarks of the dog, the second with another recipe, in a folder in which a file's tests run one after the other."""

import os
import shutil
from pathlib import Path

import mlflow
import pytest

from dreamvideo.params import load_params
from flows.benchmark import run_benchmark
from tests.integration.conftest import write_params
from tests.support.registry_trials import COMPOSITION, DOG_ONLY, params, tracking


@pytest.fixture(scope="module")
def project(tmp_path_factory, dataset):
    """A folder in which the tests of this module run one after the other."""
    folder = tmp_path_factory.mktemp("registry")
    shutil.copytree(dataset, folder / "data")
    write_params(folder)
    before = Path.cwd()
    os.chdir(folder)
    tracking.cache_clear()
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def first(project):
    return run_benchmark(params(), DOG_ONLY)


@pytest.fixture(scope="module")
def second(first):
    """The same with another recipe, so that there is a challenger."""
    return run_benchmark(params(3), DOG_ONLY)


@pytest.fixture(scope="module")
def composition(second):
    uri = load_params().tracking.uri
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)  # MLflow sets it, and would leave it to all that follows
        mlflow.set_tracking_uri(uri)
        yield mlflow.pyfunc.load_model(f"models:/{COMPOSITION}@champion")
