"""A fresh clone has its data and weights offline, from the DVC remote inside the repository."""

import shutil
import subprocess
import sys

import pytest
import torch

from dreamvideo.base_models import load_base_model
from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.dataset.checksums import verify_files
from dreamvideo.params import load_params
from evaluation.encoders import encoders
from tests.integration.conftest import REPOSITORY, git

MOST_BYTES = 30_000_000  # of all weights together


@pytest.fixture(scope="module")
def clone(tmp_path_factory, isolated_dvc):
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout, so there is nothing to clone")
    folder = tmp_path_factory.mktemp("clone") / "repository"
    git(REPOSITORY, "clone", "-q", str(REPOSITORY), str(folder))
    pull = [sys.executable, "-c", "from flows.cli.main import main; main()", "data", "pull"]
    done = subprocess.run(pull, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_data_is_what_the_catalog_says(clone):
    catalog = load_catalog(clone / "data")
    verify_files(catalog)
    kinds = [subject.kind for subject in catalog.subjects.values()]
    assert (kinds.count("pet"), kinds.count("object"), len(catalog.motions), len(catalog.prompts)) == (9, 11, 30, 42)


def test_the_weights_load_and_are_small(clone, monkeypatch):
    monkeypatch.chdir(clone)
    params = load_params()
    load_base_model(params.base_model)
    encoders[params.evaluation.encoders](params.evaluation.weights, torch.device("cpu"))
    files = list((clone / "models").rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


def test_changed_data_loses_the_committed_hash(clone):
    from flows.tracking.provenance import data_hash

    assert data_hash(load_catalog(clone / "data")).endswith(".dir")
    shutil.copy(clone / "data/motions/square/00.mp4", clone / "data/motions/square/another.mp4")
    assert data_hash(load_catalog(clone / "data")).startswith("uncommitted:")
