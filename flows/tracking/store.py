"""MLflow: where runs are recorded, found again by key, and their artifacts fetched."""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    ErrorCode,
)
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from dreamvideo.errors import ConflictError, DamagedError, InputError, masked
from dreamvideo.files import sha256_file
from dreamvideo.params import TrackingParams
from flows.tracking.address import TRACKING_URI, credentials_apart, use
from flows.tracking.scratch import scratch_folder

KIND, KEY, ARTIFACT, SHA256 = "dreamvideo.kind", "dreamvideo.key", "dreamvideo.artifact", "dreamvideo.sha256"
REASON = "dreamvideo.reason"  # tag of a run that did not finish
BYTES = "artifact.bytes"  # metric of a run: the size of the artifact that it keeps
PAGE = 1000  # runs that are asked for at once
MOST_METRICS = 800  # of one request, which may have 100 parameters and 100 tags too; a training's curve has more
GENERATION_KEY = "dreamvideo.generation_key"  # of a cell: what decides its video, but not its scores


@dataclass
class Record:
    """What one run is to remember; filled while the work goes on, written in one batch at its end."""

    run_id: str
    params: dict[str, object] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class Tracking:
    """One experiment on one tracking server or database."""

    def __init__(self, params: TrackingParams) -> None:
        self.params = params
        self._scratch = scratch_folder()  # for downloads; goes with this object
        # The environment's address may hold a password, so it never becomes a parameter that is stored.
        self.uri = credentials_apart(os.environ.get(TRACKING_URI) or params.uri)
        use(self.uri)
        self.client = mlflow.MlflowClient(self.uri)
        self.experiment = self._experiment()

    @property
    def shown_uri(self) -> str:
        """The store's address without a password."""
        return masked(self.uri)

    def _experiment(self) -> str:
        """The id of the experiment, which is made where it is missing."""
        name = self.params.experiment
        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = self.params.artifacts.resolve().as_uri() if self.uri.startswith("sqlite") else None
            try:
                return self.client.create_experiment(name, artifact_location=location)
            except MlflowException as error:
                if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                    raise
                found = self.client.get_experiment_by_name(name)  # another process, here or elsewhere, has just made it
        return found.experiment_id

    def finished(self, kind: str, by: str = KEY) -> dict[str, str]:
        """Run ids of the finished runs of a kind, by key or by another tag."""
        return {run.data.tags[by]: run.info.run_id for run in self._search({KIND: kind}) if by in run.data.tags}

    def runs(self, kind: str, tags: Mapping[str, str] | None = None) -> list[Run]:
        """The finished runs of a kind that carry some tags, newest first."""
        return list(self._search({KIND: kind, **(tags or {})}))

    def find(self, kind: str, key: str) -> Run | None:
        """The newest finished run of a kind under a key."""
        return next(self._search(by_key(kind, key)), None)

    def get(self, run_id: str) -> Run:
        """One run.

        Raises:
            InputError: there is no such run.
            MlflowException: the store does not answer, so nothing is known of the run.
        """
        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in map(ErrorCode.Name, (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)):
                raise
            raise InputError(
                f"no run {run_id!r} in {self.shown_uri}; a benchmark prints the id of its run, and `mlflow ui` lists all"
            ) from error

    def _search(self, tags: Mapping[str, str]) -> Iterator[Run]:
        condition = tagged(tags) + " and attributes.status = 'FINISHED'"
        token = None
        while True:
            page = self.client.search_runs([self.experiment], condition, max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    @contextmanager
    def run(self, kind: str, name: str, key: str, tags: dict[str, str], parent: str | None = None) -> Iterator[Record]:
        """A run that is FINISHED if the block succeeds, and FAILED with its reason if it raises.

        Raises:
            ConflictError: another process has ended the run meanwhile; it stays as that left it.
        """
        tags = {KIND: kind, KEY: key, MLFLOW_RUN_NAME: name} | by_key(kind, key) | tags
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
            raise ConflictError(
                f"run {record.run_id}: another process has ended it meanwhile, as {status}; "
                "run the same command again: what is finished is kept"
            )

    def _fail(self, record: Record, error: BaseException) -> None:
        """End a run with its reason; what the store does not take is left out, for the error itself is what to tell."""
        with suppress(MlflowException):
            self.client.set_tag(record.run_id, REASON, masked(f"{type(error).__name__}: {error}")[:500])
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

    def keep(self, record: Record, path: Path) -> None:
        """Store the artifact that makes a run reusable, and its hash."""
        self.client.log_artifact(record.run_id, str(path))
        record.tags |= {ARTIFACT: path.name, SHA256: sha256_file(path)}
        record.metrics[BYTES] = float(path.stat().st_size)

    def attach(self, run_id: str, *paths: Path) -> None:
        """Store further artifacts, and their hashes."""
        for path in paths:
            self.client.log_artifact(run_id, str(path))
        self.client.log_batch(run_id, tags=[RunTag(_hash_tag(path.name), sha256_file(path)) for path in paths])

    def fetch(self, run_id: str) -> Path:
        """The artifact that makes a run reusable, as :meth:`download` gives it."""
        return self.download(run_id, self.get(run_id).data.tags[ARTIFACT])

    def download(self, run_id: str, artifact: str) -> Path:
        """A local copy of one artifact of a run, checked against the hash that was recorded when it was stored.

        It lasts as long as this object; each call makes one of its own. What an earlier version of this project stored
        beside adapters and videos has no recorded hash, and is given as it is.

        Raises:
            DamagedError: the run has no such artifact, or it is not what was stored.
            InputError: there is no such run, or the artifact store is not there.
            MlflowException, OSError: the store does not answer, or what it has cannot be read.
        """
        run = self.get(run_id)
        path, tags = self._copy(run, artifact), run.data.tags
        recorded = tags[SHA256] if tags.get(ARTIFACT) == artifact else tags.get(_hash_tag(artifact))
        if recorded and sha256_file(path) != recorded:
            raise DamagedError(
                f"run {run_id}: its artifact {artifact} is not what was stored; "
                "delete the run in MLflow, and the next run makes it again"
            )
        return path

    def _copy(self, run: Run, artifact: str) -> Path:
        # Never one path twice: what is read from it may still be mapped into memory, or another thread may be reading.
        folder = tempfile.mkdtemp(dir=self._scratch.name)
        # Not by the run's id: MLflow then says of every failure, as of a lost connection, that there is no such artifact.
        uri = f"{run.info.artifact_uri}/{artifact}"
        try:
            return Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder, tracking_uri=self.uri))
        except MlflowException as error:
            # Whoever reads that something is missing deletes the run: it is said where the store lists others, but not this.
            if artifact in [stored.path for stored in self.client.list_artifacts(run.info.run_id)]:
                raise
            root = self.client.get_experiment(self.experiment).artifact_location
            if not mlflow.artifacts.list_artifacts(artifact_uri=root, tracking_uri=self.uri):
                raise InputError(
                    f"{masked(root)} is not there or holds nothing, so no artifact can be read; mount it, or move it back to where it was"
                ) from error
            raise DamagedError(
                f"run {run.info.run_id}: its artifact {artifact} is missing; "
                "delete this run in MLflow and run the benchmark again"
            ) from error

    def read_json(self, run_id: str, artifact: str) -> object:
        """A JSON artifact, as :meth:`download` gives it."""
        return json.loads(self.download(run_id, artifact).read_text())


def by_key(kind: str, key: str) -> dict[str, str]:
    """The tag by which the runs of a key are found at once, however many others there are.

    MLflow's database has an index of tags by name, none by value; and its pages do not list tags of this prefix.
    """
    return {f"mlflow.dreamvideo.{key}": kind}


def tagged(tags: Mapping[str, str]) -> str:
    """MLflow's filter for runs that have some tags."""
    return " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())


def flatten(values: Mapping, prefix: str = "") -> dict[str, object]:
    """Nested parameters as MLflow keeps them: dotted names."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _hash_tag(artifact: str) -> str:
    """The tag that keeps the hash of a further artifact."""
    return f"{SHA256}.{artifact}"
