"""The data gate. Nothing trains or generates until the data has passed it. An MLflow run records the result."""

import json
import tempfile
from pathlib import Path

from prefect import task

from dreamvideo.dataset.catalog import CATALOG_NAME, Catalog, load_catalog
from dreamvideo.dataset.checksums import verify_files
from dreamvideo.errors import InputError
from dreamvideo.files import content_key, sha256_file
from dreamvideo.params import Params
from flows.execution.progress import console
from flows.tracking.leases import live_run
from flows.tracking.provenance import data_hash
from flows.tracking.schema import Artifact, Kind, Tag
from flows.tracking.store import open_store

REVISION = 3  # raise it when the expectations change


@task(name="validate-data")
def gate_task(params_json: str) -> str:
    """Check the data against its expectations; returns the id of the run that keeps the result."""
    return pass_gate(Params.model_validate_json(params_json))


def pass_gate(params: Params, counted: bool = True) -> str:
    """Check the data against its expectations; returns the id of the run that keeps the result.

    Data that passed is not checked again until the data or the expectations change.

    Args:
        params: of the profile.
        counted: whether the catalog must have as many subjects and motions as the profile says. A benchmark needs that.

    Raises:
        InputError: the first problem, naming file and remedy. The run has all of them.
    """
    tracking, catalog = open_store(params.tracking), load_catalog(params.data.root)
    expected = params.data.model_dump(exclude={"root"}) | ({} if counted else {"subjects": None, "motions": None})
    # The catalog's file holds the hashes of all other files.
    key = content_key([sha256_file(catalog.root / CATALOG_NAME), expected, REVISION])
    passed = tracking.find(Kind.GATE, key)
    if passed and _as_catalogued(catalog):
        return passed.info.run_id
    from dreamvideo.dataset.validation.checks import (
        Requirements,  # takes seconds, and data that passed does not need it
    )
    from dreamvideo.dataset.validation.expectations import validate

    tags: dict[str, str] = {Tag.DATA_HASH: data_hash(catalog), Tag.PROFILE: params.profile}
    with console.status("checking the data"), live_run(tracking, Kind.GATE, "data gate", key, tags) as record:
        result = validate(catalog, Requirements(**expected))
        record.metrics |= {"success": float(result.success), "problems": float(len(result.problems))}
        with tempfile.TemporaryDirectory() as folder:
            report, page = Path(folder) / Artifact.GATE_RESULT, Path(folder) / Artifact.GATE_PAGE
            report.write_text(json.dumps(result.report, indent=1))
            page.write_text(result.html)
            tracking.artifacts.attach(record.run_id, report, page)
        if result.problems:
            raise InputError(_told(result.problems, record.run_id))
    return record.run_id


def _as_catalogued(catalog: Catalog) -> bool:
    """Whether every file still has the hash that the catalog says."""
    try:
        verify_files(catalog)
    except InputError:
        return False
    return True


def _told(problems: tuple[str, ...], run_id: str) -> str:
    """The first problem, and where the others are."""
    more = len(problems) - 1
    return problems[0] + (f" (and {more} more, all in {Artifact.GATE_PAGE} of MLflow run {run_id})" if more else "")
