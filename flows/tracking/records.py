"""The record of a benchmark: the artifacts of its run, from which a report is built again."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from dreamvideo.params import Params, validated
from dreamvideo.yaml_files import to_yaml
from flows.tracking.schema import Artifact
from flows.tracking.store import Tracking

T = TypeVar("T", bound=BaseModel)


class CellRecord(BaseModel):
    """One cell of a benchmark, and the runs that hold its results."""

    model_config = ConfigDict(frozen=True)

    key: str
    subject: str
    motion: str
    prompt: str
    seed: int
    run_id: str | None  # of the run that made the cell; None for a cell that failed
    reused: bool  # an earlier benchmark made it
    scores: dict[str, str] = {}  # the metrics that its own run lacks, and the ids of the runs that hold their scores


class CellsFile(BaseModel):
    """The content of cells.json. Version 1 was the list of cells alone."""

    schema_version: Literal[2] = 2
    cells: tuple[CellRecord, ...]

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, content: Any) -> Any:
        return {"cells": content} if isinstance(content, list) else content


class Facts(BaseModel):
    """The content of facts.json: where a benchmark ran and on which weights, which MLflow would not know later."""

    notice: str
    base_model: str
    metric_encoders: str
    software: dict[str, str]
    machine: dict[str, str]
    oracle_accuracy: dict[str, float]


class Proposal(BaseModel):
    """Whether a challenger may become the champion of a registered model, as a benchmark found it."""

    model_config = ConfigDict(frozen=True)

    model: str
    champion: int  # version numbers before any promotion
    challenger: int
    passes: bool
    promoted: bool  # the policy is automatic, so that the challenger is the champion now
    reason: str  # why it does not pass; empty if it passes
    comparison: dict[str, Any] | None = None  # by metric; None if the two versions do not compare


class ProposalsFile(BaseModel):
    """The content of promotion.json."""

    schema_version: Literal[2] = 2
    proposals: tuple[Proposal, ...]


def keep_record(tracking: Tracking, run_id: str, params: Params, cells: tuple[CellRecord, ...], facts: Facts) -> None:
    """Store the record of a benchmark with its run."""
    used = params.model_dump(mode="json") | {"methods": {params.method: params.methods[params.method]}}
    contents = {
        Artifact.CELLS: CellsFile(cells=cells).model_dump_json(indent=1),
        Artifact.FACTS: facts.model_dump_json(indent=1),
        Artifact.PARAMS: to_yaml(used),
    }
    _keep(tracking, run_id, contents)


def keep_proposals(tracking: Tracking, run_id: str, proposals: Iterable[Proposal]) -> None:
    """Store the proposals of a benchmark with its run."""
    content = ProposalsFile(proposals=tuple(proposals)).model_dump_json(indent=1)
    _keep(tracking, run_id, {Artifact.PROPOSAL: content})


def _keep(tracking: Tracking, run_id: str, contents: Mapping[Artifact, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in contents.items():
            (Path(folder) / name).write_text(content)
        tracking.artifacts.attach(run_id, *(Path(folder) / name for name in contents))


def read_cells(tracking: Tracking, run_id: str) -> tuple[CellRecord, ...]:
    """The cells of a benchmark.

    Raises:
        InputError: the file is of a later version of this project.
        DamagedError: the file is missing, or is not what was stored.
    """
    return _read(CellsFile, tracking, run_id, Artifact.CELLS).cells


def read_facts(tracking: Tracking, run_id: str) -> Facts:
    """The facts of a benchmark; raises what :func:`read_cells` raises."""
    return _read(Facts, tracking, run_id, Artifact.FACTS)


def _read(schema: type[T], tracking: Tracking, run_id: str, artifact: Artifact) -> T:
    return validated(schema, tracking.artifacts.read_json(run_id, artifact), f"{artifact} of run {run_id}")
