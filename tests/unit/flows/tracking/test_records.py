"""The record of a benchmark comes back as it was stored, also from a file of an older version."""

import json
import shutil

import pytest

from dreamvideo.errors import InputError
from dreamvideo.params import TrackingParams
from flows.tracking.records import CellRecord, CellsFile, read_cells
from flows.tracking.schema import (
    FIRST_METRICS,
    Artifact,
    Count,
    Figure,
    Kind,
    Tag,
    revision_tags,
    revisions_of,
    scores_of,
)
from flows.tracking.store import open_store
from tests.conftest import empty_store

CELL = {"key": "k", "subject": "dog", "motion": "square", "prompt": "a *", "seed": 3, "run_id": "r", "reused": True}


@pytest.fixture
def stored(tmp_path):
    """Stores a text as cells.json, and reads it."""
    shutil.copyfile(empty_store(), tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracking = open_store(TrackingParams(uri=uri, artifacts=tmp_path / "mlruns", experiment="records"))

    def read(text: str) -> tuple[CellRecord, ...]:
        (tmp_path / Artifact.CELLS).write_text(text)
        with tracking.run(Kind.BENCHMARK, "a benchmark", "key", {}) as record:
            tracking.artifacts.attach(record.run_id, tmp_path / Artifact.CELLS)
        return read_cells(tracking, record.run_id)

    return read


def test_cells_come_back_as_they_were_stored(stored):
    cell = CellRecord(**CELL, scores={"new": "s"})
    assert stored(CellsFile(cells=(cell,)).model_dump_json()) == (cell,)


def test_the_file_of_version_1_is_a_list(stored):
    assert stored(json.dumps([CELL, CELL | {"run_id": None}])) == (
        CellRecord(**CELL),
        CellRecord(**CELL | {"run_id": None}),
    )


@pytest.mark.parametrize("text", ['{"schema_version": 3, "cells": []}', '[{"key": "k"}]'])
def test_a_file_of_another_schema_is_refused(stored, text):
    with pytest.raises(InputError, match=Artifact.CELLS):
        stored(text)


def test_every_name_stands_once():
    names = [*Tag, *Figure, *Count]
    assert len(set(names)) == len(names)


def test_scores_are_told_from_figures_by_name_alone():
    scores = {"clip_t": 0.3, "a.metric.with.dots": 0.5}
    assert scores_of(scores | dict.fromkeys(Figure, 1.0)) == scores


def test_revisions_come_back_and_an_older_run_has_the_first_of_each():
    assert revisions_of({Tag.KEY: "k"} | revision_tags({"clip_t": 2, "new": 1})) == {"clip_t": 2, "new": 1}
    assert revisions_of({Tag.KEY: "k"}) == dict.fromkeys(FIRST_METRICS, 1)
