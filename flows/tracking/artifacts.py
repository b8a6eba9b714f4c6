"""The artifacts of runs: stored with their hashes, and checked against them when they are read."""

import atexit
import json
import shutil
import tempfile
from functools import cache, cached_property
from pathlib import Path

import mlflow
from mlflow.entities import Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from dreamvideo.errors import DamagedError, InputError, masked
from dreamvideo.files import sha256_file
from flows.tracking.liveness import is_running, this_process
from flows.tracking.schema import Tag, hash_tag

PREFIX = "dreamvideo-"  # of temporary folders


class Artifacts:
    """The artifacts of the runs of one experiment."""

    def __init__(self, client: mlflow.MlflowClient, experiment: str) -> None:
        self._client, self._experiment = client, experiment

    @cached_property
    def _downloads(self) -> tempfile.TemporaryDirectory:
        """A folder for local copies. It is deleted together with this object."""
        return scratch_folder()

    def keep(self, run_id: str, path: Path) -> dict[str, str]:
        """Store the artifact that makes a run reusable; returns the tags that name it and its hash."""
        self._client.log_artifact(run_id, str(path))
        return {Tag.ARTIFACT: path.name, Tag.SHA256: sha256_file(path)}

    def attach(self, run_id: str, *paths: Path) -> None:
        """Store further artifacts, and their hashes."""
        for path in paths:
            self._client.log_artifact(run_id, str(path))
        tags = [RunTag(hash_tag(path.name), sha256_file(path)) for path in paths]
        self._client.log_batch(run_id, tags=tags)

    def fetch(self, run_id: str) -> Path:
        """The artifact that makes a run reusable, as :meth:`download` gives it."""
        return self.download(run_id, get_run(self._client, run_id).data.tags[Tag.ARTIFACT])

    def reuse(self, run_id: str) -> Path:
        """The artifact of a finished run, as :meth:`fetch` gives it.

        Raises:
            DamagedError: it is missing, or it is not what was stored. The run counts as failed from now on, so that
                no search finds it and the next benchmark makes the artifact again.
        """
        try:
            return self.fetch(run_id)
        except DamagedError as error:
            artifact = get_run(self._client, run_id).data.tags[Tag.ARTIFACT]
            reason = f"run {run_id}: its {artifact} is gone, or is not what was stored; the next run makes it again"
            self._client.set_tag(run_id, Tag.REASON, reason)
            self._client.set_terminated(run_id, "FAILED")
            raise DamagedError(reason) from error

    def download(self, run_id: str, artifact: str) -> Path:
        """A local copy of one artifact of a run, checked against the hash that was stored with it.

        Each call makes its own copy, which lasts as long as this object. Version 0.1 stored hashes of adapters and
        videos only; its other artifacts are returned unchecked.

        Raises:
            DamagedError: the run has no such artifact, or the artifact is not what was stored.
            InputError: there is no such run, or the artifact store is not there.
            MlflowException, OSError: the store does not answer, or the artifact cannot be read.
        """
        run = get_run(self._client, run_id)
        path, tags = self._copy(run, artifact), run.data.tags
        recorded = tags[Tag.SHA256] if tags.get(Tag.ARTIFACT) == artifact else tags.get(hash_tag(artifact))
        if recorded and sha256_file(path) != recorded:
            raise DamagedError(
                f"run {run_id}: its artifact {artifact} is not what was stored; "
                "delete the run in MLflow, and the next run makes it again"
            )
        return path

    def read_json(self, run_id: str, artifact: str) -> object:
        """The content of a JSON artifact; raises what :meth:`download` raises."""
        return json.loads(self.download(run_id, artifact).read_text())

    def _copy(self, run: Run, artifact: str) -> Path:
        # Never the same path twice: an earlier copy may be mapped into memory, or another thread may be reading it.
        folder, server = tempfile.mkdtemp(dir=self._downloads.name), self._client.tracking_uri
        # Not by the run's id: MLflow then reports every failure, even a lost connection, as a missing artifact.
        uri = f"{run.info.artifact_uri}/{artifact}"
        try:
            return Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder, tracking_uri=server))
        except MlflowException as error:
            # A reader that finds an artifact missing marks the run as failed. So an artifact counts as missing only
            # if the store answers and does not list it.
            if artifact in [stored.path for stored in self._client.list_artifacts(run.info.run_id)]:
                raise
            root = self._client.get_experiment(self._experiment).artifact_location
            if not mlflow.artifacts.list_artifacts(artifact_uri=root, tracking_uri=server):
                raise InputError(
                    f"{masked(root)} is not there or holds nothing, so no artifact can be read; mount it, or move it back to where it was"
                ) from error
            raise DamagedError(
                f"run {run.info.run_id}: its artifact {artifact} is missing; "
                "delete this run in MLflow and run the benchmark again"
            ) from error


def get_run(client: mlflow.MlflowClient, run_id: str) -> Run:
    """One run.

    Raises:
        InputError: there is no such run.
        MlflowException: the store does not answer, so nothing is known about the run.
    """
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in map(ErrorCode.Name, (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)):
            raise
        raise InputError(
            f"no run {run_id!r} in {masked(client.tracking_uri)}; a benchmark prints the id of its run, and `mlflow ui` lists all"
        ) from error


def scratch_folder() -> tempfile.TemporaryDirectory:
    """A temporary folder, deleted together with this object. If the process is killed, a later process deletes it."""
    return tempfile.TemporaryDirectory(dir=_folder_of_this_process())


@cache
def _folder_of_this_process() -> Path:
    """A folder whose name says which process uses it."""
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{this_process().replace('/', ',')},"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_abandoned() -> None:
    """Delete the folders of processes that have ended."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*,*,*,*"):
        process = path.name.removeprefix(PREFIX).rpartition(",")[0]
        if not is_running(process.replace(",", "/")):
            shutil.rmtree(path, ignore_errors=True)
