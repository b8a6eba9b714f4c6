"""The MLflow store: where runs are recorded, and found again by key."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.entities import Experiment, LifecycleStage, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.utils import get_results_from_paginated_fn
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from dreamvideo.errors import ConflictError, InputError, masked
from dreamvideo.params import TrackingParams
from flows.tracking.artifacts import Artifacts, get_run
from flows.tracking.database import prepare_database
from flows.tracking.schema import Figure, Kind, Tag, by_key, tagged

TRACKING_URI = "MLFLOW_TRACKING_URI"  # the environment variable that users set
PAGE = 1000  # runs of one request
MOST_METRICS = 800  # of one request, which may have 100 params and 100 tags too; a training's curve has more


class RunEndedError(ConflictError):
    """Another process has ended a run while this process worked on it."""


@dataclass
class Record:
    """What one run records. The work fills it, and the end of the run writes it in one batch."""

    run_id: str
    params: dict[str, object] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Tracking:
    """One experiment on one tracking server or database; :func:`open_store` makes it."""

    client: mlflow.MlflowClient
    experiment: str  # its id

    @property
    def shown_uri(self) -> str:
        """The store's address without a password."""
        return masked(self.client.tracking_uri)

    @cached_property
    def artifacts(self) -> Artifacts:
        """The artifacts of the runs."""
        return Artifacts(self.client, self.experiment)

    def finished(self, kind: Kind, by: Tag = Tag.KEY) -> dict[str, str]:
        """Run ids of the finished runs of a kind, by key or by another tag."""
        return {run.data.tags[by]: run.info.run_id for run in self.runs(kind) if by in run.data.tags}

    def runs(self, kind: Kind, tags: Mapping[str, str] | None = None) -> list[Run]:
        """The finished runs of a kind that have some tags, newest first."""
        condition = _finished({Tag.KIND: kind, **(tags or {})})
        return get_results_from_paginated_fn(
            lambda number, token: self.client.search_runs(
                [self.experiment], condition, max_results=number, page_token=token
            ),
            PAGE,
        )

    def find(self, kind: Kind, key: str) -> Run | None:
        """The newest finished run of a kind under a key."""
        found = self.client.search_runs([self.experiment], _finished(by_key(kind, key)), max_results=1)
        return found[0] if found else None

    def get(self, run_id: str) -> Run:
        """One run; InputError says that there is none."""
        return get_run(self.client, run_id)

    @contextmanager
    def run(self, kind: Kind, name: str, key: str, tags: dict[str, str], parent: str | None = None) -> Iterator[Record]:
        """A run that is FINISHED if the block succeeds, and FAILED with its reason if the block raises.

        Raises:
            RunEndedError: another process has ended the run meanwhile; the run stays as it is.
        """
        tags = {Tag.KIND: str(kind), Tag.KEY: key, MLFLOW_RUN_NAME: name} | by_key(kind, key) | tags
        if parent:
            tags[MLFLOW_PARENT_RUN_ID] = parent
        run = self.client.create_run(self.experiment, tags=tags)
        record = Record(run.info.run_id)
        try:
            yield record
            self._write(record)
            status = self.client.get_run(record.run_id).info.status
            if status == "RUNNING":
                self.client.set_terminated(record.run_id, "FINISHED")
        except BaseException as error:
            self._fail(record, error)
            raise
        if status != "RUNNING":
            raise RunEndedError(
                f"run {record.run_id}: another process has ended it meanwhile, as {status}; "
                "run the same command again: what is finished is kept"
            )

    def keep(self, record: Record, path: Path) -> None:
        """Store the artifact that makes a run reusable, with its hash and its size."""
        record.tags |= self.artifacts.keep(record.run_id, path)
        record.metrics[Figure.BYTES] = float(path.stat().st_size)

    def _fail(self, record: Record, error: BaseException) -> None:
        """End a run with its reason. The caller raises the error; so a store that refuses the record raises nothing."""
        with suppress(MlflowException):
            self.client.set_tag(record.run_id, Tag.REASON, masked(f"{type(error).__name__}: {error}")[:500])
            self.client.set_terminated(record.run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            self._write(record)

    def _write(self, record: Record) -> None:
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in record.metrics.items() if isfinite(value)]
        metrics += [
            Metric(name, value, now, step) for name, curve in record.curves.items() for step, value in curve.items()
        ]
        params = [Param(name, str(value)[:6000]) for name, value in record.params.items()]
        tags = [RunTag(name, value) for name, value in record.tags.items()]
        while len(metrics) > MOST_METRICS:
            self.client.log_batch(record.run_id, metrics=metrics[:MOST_METRICS])
            metrics = metrics[MOST_METRICS:]
        self.client.log_batch(record.run_id, metrics, params, tags)


def open_store(params: TrackingParams) -> Tracking:
    """Connect to the store of a profile, or to the one that the environment names. A missing experiment is made."""
    # The environment's address may hold a password, so it never becomes a parameter that is stored.
    uri = _without_credentials(os.environ.get(TRACKING_URI) or params.uri)
    _use(uri)
    prepare_database(uri)
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(params.experiment)
    if found is not None:
        return Tracking(client, _id_of(found))
    location = params.artifacts.resolve().as_uri() if uri.startswith("sqlite") else None
    try:
        return Tracking(client, client.create_experiment(params.experiment, artifact_location=location))
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
        # Another process, on this machine or elsewhere, has made it since the search.
        found = client.get_experiment_by_name(params.experiment)
        if found is None:
            raise
        return Tracking(client, _id_of(found))


def _id_of(experiment: Experiment) -> str:
    """The id of an experiment that can be used.

    Raises:
        InputError: someone deleted it.
    """
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise InputError(
            f"someone deleted the MLflow experiment {experiment.name!r}; restore it with "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`, or name another one in "
            "tracking.experiment"
        )
    return experiment.experiment_id


def _without_credentials(uri: str) -> str:
    """A server's address without user and password. MLflow's errors repeat the address; it reads both from the environment."""
    address = urlsplit(uri)
    if not address.scheme.startswith("http") or address.username is None:
        return uri
    names = {"MLFLOW_TRACKING_USERNAME": address.username, "MLFLOW_TRACKING_PASSWORD": address.password or ""}
    os.environ.update({name: unquote(value) for name, value in names.items()})
    return address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()


def _use(uri: str) -> None:
    """Make a store MLflow's own default in this process alone. MLflow would tell child processes, too."""
    exported = os.environ.get(TRACKING_URI)
    mlflow.set_tracking_uri(uri)
    os.environ.pop(TRACKING_URI, None)
    if exported is not None:
        os.environ[TRACKING_URI] = exported


def _finished(tags: Mapping[str, str]) -> str:
    """MLflow's filter for finished runs that have some tags."""
    return tagged(tags) + " and attributes.status = 'FINISHED'"
