"""The composition: a pyfunc model of MLflow that turns rows of subject, motion, prompt and seed into videos.

MLflow keeps a JSON file of parameters and the name of this module: no code, and no pickle.
The adapters of a request are the champions at the time of the request.
"""

import base64
import json
import tempfile
import threading
from importlib.metadata import version as installed
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.types import ColSpec, Schema

from dreamvideo.dataset.checksums import verify_files
from dreamvideo.dataset.prompts import check_words
from dreamvideo.errors import DamagedError, InputError, ProjectError
from dreamvideo.files import content_key, sha256_file
from dreamvideo.params import Params
from dreamvideo.roles import Role
from dreamvideo.user_input import validated
from dreamvideo.weights import read_weights
from flows.execution.adapters import adapter_schema
from flows.execution.cells import Tensors, generate_video
from flows.execution.progress import bar
from flows.execution.resources import Resources
from flows.planning.keys import AdapterPlan
from flows.planning.plan import Plan
from flows.planning.selection import COMBINATION
from flows.registry.cards import composition_card
from flows.registry.models import adapter_model, champion, composition_model, fetch_version, role_of, versions
from flows.registry.versions import register_adapter, register_version
from flows.tracking.leases import leased_run, make_or_wait
from flows.tracking.schema import Kind, Tag, flatten

FOLDER, FILE = "model", "params.json"
LOADER = __name__  # what MLflow imports to load a version; a version of another loader is another version
KEY_FIELD = "composition"  # in the file: the key that the parameters and the base model's weights must give again
KEPT_WEIGHTS = 16  # adapters in memory
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "subject"), ColSpec("string", "motion"), ColSpec("string", "prompt"),
                   ColSpec("long", "seed")]),
    outputs=Schema([ColSpec("string", "video"), *(ColSpec("string", role.value) for role in Role)]),
)  # fmt: skip


def register_all(resources: Resources, plan: Plan, adapters: dict[str, str]) -> list[ModelVersion]:
    """Register the adapters of a benchmark and their composition.

    Args:
        resources: data and tracking.
        plan: of the benchmark.
        adapters: run ids of the trained adapters, by key.

    Returns:
        Their versions; none where the profile keeps no registry.
    """
    there = [adapter for adapter in plan.adapters if adapter.key in adapters]
    found = []
    with bar("registering", len(there)) as line:
        for adapter in there:
            found.append(register_adapter(resources, adapter, adapters[adapter.key]))
            line.step()
    return [version for version in (*found, register_composition(resources)) if version]


def register_composition(resources: Resources) -> ModelVersion | None:
    """The version of a profile's composition. It is logged and registered now if it was not before.

    Returns:
        The version; None where the profile keeps no registry, or the method learns nothing to compose.
    """
    params, tracking, base = resources.params, resources.tracking, resources.params.base_model.name
    if not params.keeps_registry or not all(map(resources.method.trains, Role)):
        return None
    name = composition_model(base)
    run_id, _ = make_or_wait(lambda: _log_composition(resources, name))
    run = tracking.get(run_id)
    settings = flatten({**params.sampling.model_dump(), **resources.method.composition_recipe()})
    card = composition_card(name, base, resources.method.name, settings)
    tags: dict[str, str] = {Tag.SHA256: run.data.tags[Tag.SHA256], Tag.METHOD: resources.method.name}
    return register_version(tracking, name, resources.keys.composition, run, FOLDER, tags, card)


def _log_composition(resources: Resources, name: str) -> str:
    """Keep a profile's composition as a model of MLflow; returns the id of its run.

    Raises:
        LeaseHeldError: another worker keeps it, or has just kept it.
    """
    content = _content(resources)
    # The places of weights and data decide no video, but they decide whether the model loads.
    places = {section: content[section] for section in ("base_model", "compute")} | {"root": content["data"]["root"]}
    key = content_key([resources.keys.composition, places, LOADER])
    tags = resources.provenance | {Tag.METHOD: resources.method.name}
    with (
        leased_run(resources.tracking, Kind.COMPOSITION, name, key, tags) as record,
        tempfile.TemporaryDirectory() as folder,
    ):
        path, model = Path(folder) / FILE, Path(folder) / FOLDER
        path.write_text(json.dumps(content, indent=1))
        mlflow.pyfunc.save_model(
            model, loader_module=LOADER, data_path=path, signature=SIGNATURE, input_example=_example(resources),
            pip_requirements=[f"{package}=={installed(package)}" for package in ("mlflow", "torch", "diffusers")],
        )  # fmt: skip
        resources.tracking.client.log_artifacts(record.run_id, str(model), FOLDER)
        resources.tracking.keep(record, path)
    return record.run_id


def _content(resources: Resources) -> dict:
    """The parameters without the address of the store, which may hold a password."""
    content = resources.params.model_dump(mode="json", exclude={"pretraining", "promotion", "execution"})
    content["tracking"]["uri"] = ""
    content["methods"] = {resources.method.name: content["methods"][resources.method.name]}
    return content | {KEY_FIELD: resources.keys.composition}


def _example(resources: Resources) -> pd.DataFrame:
    """An example of a request, which MLflow keeps with the model."""
    subject, motion = next(iter(resources.catalog.subjects)), next(iter(resources.catalog.motions))
    prompt = next(p for p in resources.catalog.prompts if p.kind == COMBINATION).fill(
        resources.catalog.motion(motion).words
    )
    return pd.DataFrame([{"subject": subject, "motion": motion, "prompt": prompt, "seed": 0}])


def _load_pyfunc(path: str) -> "Composition":
    """Load the model; MLflow calls this. The adapters come from the same store.

    Raises:
        DamagedError: the file is not the one that was registered.
        InputError: the data or the base model on this machine differ.
    """
    content = json.loads(Path(path).read_text())
    key = content.pop(KEY_FIELD)
    content["tracking"]["uri"] = mlflow.get_tracking_uri()
    resources = Resources(validated(Params, content, FILE))
    name = composition_model(resources.params.base_model.name)
    digest = sha256_file(Path(path))
    if not any(known.tags.get(Tag.SHA256) == digest for known in versions(resources.tracking, name)):
        raise DamagedError(
            f"{name}: {FILE} is not what any version was registered with; roll back to one that is whole"
        )
    if resources.keys.composition != key:
        raise InputError(
            f"{name}: the base model in {resources.params.base_model.weights} is not the one that it was registered with; "
            "run `dreamvideo data pull`, or promote a version of this base model"
        )
    verify_files(resources.catalog)
    _ = resources.base  # loaded before the first request
    return Composition(resources)


class Composition:
    """Generates videos from the champions of subjects and motions."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._base_name = resources.params.base_model.name
        self._weights: dict[tuple[str, str], Tensors] = {}
        self._lock = (
            threading.Lock()
        )  # one base model takes one composition at a time, and a server answers several requests at once

    def predict(self, rows: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        """A video for each row.

        Args:
            rows: with columns ``subject``, ``motion``, ``prompt`` (``*`` is the subject) and ``seed``.
            params: none; MLflow passes them.

        Returns:
            Columns ``video``, base64 of an mp4 file, and ``identity`` and ``motion``, the versions that were used.

        Raises:
            MlflowException: a row cannot be done. No video is generated then.
        """
        try:
            wanted = [self._look_up(row) for row in rows.to_dict("records")]
            with self._lock:
                made = [self._generate(*one) for one in wanted]
        except ProjectError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error
        return pd.DataFrame(made, columns=["video", *Role])

    def _look_up(self, row: dict) -> tuple[dict, ModelVersion, ModelVersion]:
        """A checked row, and the champions that it needs."""
        check_words(row["prompt"])
        if row["seed"] < 0:
            raise InputError(f"seed is {row['seed']}, must be 0 or more")
        names = self._resources.catalog.subject(row["subject"]).name, self._resources.catalog.motion(row["motion"]).name
        identity, motion = (
            champion(self._resources.tracking, adapter_model(role, self._base_name, name))
            for role, name in zip(Role, names, strict=True)
        )
        return row, identity, motion

    def _generate(self, row: dict, identity: ModelVersion, motion: ModelVersion) -> tuple[str, str, str]:
        resources = self._resources
        keys = identity.tags[Tag.KEY], motion.tags[Tag.KEY]
        plan = resources.keys.video(row["subject"], row["motion"], row["prompt"], int(row["seed"]), *keys)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "video.mp4"
            generate_video(resources, plan, self._load(identity), self._load(motion), path)
            video = base64.b64encode(path.read_bytes()).decode()
        return video, f"{identity.name}/{identity.version}", f"{motion.name}/{motion.version}"

    def _load(self, version: ModelVersion) -> Tensors:
        """The weights of a version, checked against its hash and the schema in the file."""
        known = version.name, str(version.version)
        if known not in self._weights:
            if len(self._weights) >= KEPT_WEIGHTS:
                del self._weights[next(iter(self._weights))]
            role = role_of(version.name)
            assert role is not None, "a composition has no weights of its own"
            schema = adapter_schema(
                self._resources,
                AdapterPlan(role, version.name.rpartition(".")[2], version.tags[Tag.KEY]),
            )
            self._weights[known], _ = read_weights(fetch_version(self._resources.tracking, version), **schema)
        return self._weights[known]
