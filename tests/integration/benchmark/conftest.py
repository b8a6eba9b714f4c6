"""A benchmark of the miniature in a git and DVC repository, in which a file's tests run one after the other."""

import os
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from dreamvideo.params import load_params
from flows.benchmark import run_benchmark
from flows.planning.selection import Selection
from flows.tracking.store import open_store
from tests.integration.conftest import git, write_params


@pytest.fixture(scope="module")
def project(tmp_path_factory, dataset, isolated_dvc):
    """A git and DVC repository with the dataset, in which the tests of this module run one after the other."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(dataset, folder / "data")
    write_params(folder)
    before = Path.cwd()
    os.chdir(folder)
    git(folder, "init", "-q")
    with Repo.init(".") as repo:
        repo.add("data")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "data")
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def first(project):
    return run_benchmark(load_params(), Selection())


def runs_of(kind):
    return open_store(load_params().tracking).runs(kind)
