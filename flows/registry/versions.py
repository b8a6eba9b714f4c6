"""Register adapters: each is a version of the model of its subject or motion, with its key and its card."""

import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress

import pandas as pd
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

from dreamvideo.dataset.licences import non_commercial
from dreamvideo.errors import ConflictError
from evaluation.metrics import METRICS, metric_names
from flows.execution.resources import Resources
from flows.planning.keys import AdapterPlan
from flows.registry.cards import adapter_card, with_scores
from flows.registry.history import FIRST, decide, decisions, settle
from flows.registry.models import CHALLENGER, CHAMPION, adapter_model, aliases, role_of, versions
from flows.tracking.schema import Param, Tag, score_tag
from flows.tracking.store import Tracking


def register_adapter(resources: Resources, plan: AdapterPlan, run_id: str) -> ModelVersion | None:
    """The version of a trained adapter. It is registered now if it was not before.

    Args:
        resources: data and tracking.
        plan: of the adapter.
        run_id: of the finished run that trained it.

    Returns:
        The version; None where the profile keeps no registry, or the method learns nothing for this role.
    """
    if not resources.params.keeps_registry or not resources.method.trains(plan.role):
        return None
    base = resources.params.base_model.name
    name = adapter_model(plan.role, base, plan.name)
    run = resources.tracking.get(run_id)
    entry = resources.catalog.entry(plan.role, plan.name)
    forbids = non_commercial(entry.licence)
    tags: dict[str, str] = {
        Tag.SHA256: run.data.tags[Tag.SHA256],
        Tag.DATA_HASH: run.data.tags[Tag.DATA_HASH],
        Tag.METHOD: resources.method.name,
        Tag.BASE_MODEL: run.data.params[Param.BASE_MODEL],
        Tag.LICENCE: entry.licence,
        Tag.NON_COMMERCIAL: str(forbids).lower(),
    }
    card = adapter_card(
        name, plan.role, f"{plan.name} ({entry.words})", base, run.data.params, entry.source, entry.licence, forbids,
        tags[Tag.DATA_HASH], tags[Tag.SHA256],
    )  # fmt: skip
    return register_version(resources.tracking, name, plan.key, run, "", tags, card)


def register_version(
    tracking: Tracking, name: str, key: str, run: Run, artifact: str, tags: Mapping[str, str], card: str
) -> ModelVersion:
    """The one version of a run's result. It is made now if it was not before, and gets its alias.

    Args:
        tracking: of the run.
        name: of the registered model.
        key: of the result.
        run: that made the result.
        artifact: the folder of the run's artifacts; "" stands for all artifacts.
        tags: of the version.
        card: its description.
    """
    found = _version_of(tracking, name, key, run)
    if found is None:
        _make_model(tracking, name)
        source = f"runs:/{run.info.run_id}" + (f"/{artifact}" if artifact else "")
        made = tracking.client.create_model_version(
            name, source, run.info.run_id, tags={Tag.KEY: key, **tags}, description=card
        )
        found = _version_of(tracking, name, key, run) or made
        if int(found.version) != int(made.version):  # another worker was first
            tracking.client.delete_model_version(name, made.version)
    _seat(tracking, name, int(found.version))
    return found


def _version_of(tracking: Tracking, name: str, key: str, run: Run) -> ModelVersion | None:
    """The oldest version with this key and this run."""
    same = (v for v in versions(tracking, name) if v.tags[Tag.KEY] == key and v.run_id == run.info.run_id)
    return next(same, None)


def _make_model(tracking: Tracking, name: str) -> None:
    try:
        tracking.client.create_registered_model(name, tags={Tag.BORN: uuid.uuid4().hex})
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def _seat(tracking: Tracking, name: str, version: int) -> None:
    """Make the first version of a model the champion, and a later new version the challenger.

    A version that was champion once is not new: after a rollback it has no alias until someone promotes it again.
    """
    settle(tracking, name)
    seated = aliases(tracking, name)
    if version in seated.values():
        return
    known = [int(one.version) for one in versions(tracking, name)]
    history = decisions(tracking, name)
    if CHAMPION not in seated and not history:
        with suppress(ConflictError):  # another worker decides it
            decide(tracking, name, FIRST, None, known[0], {"reason": "there was no champion to compare with"})
    was_champion = {known[0], *(decision.version for decision in history)}
    if version == known[-1] and version not in was_champion:
        _challenge(tracking, name, version)


def _challenge(tracking: Tracking, name: str, version: int) -> None:
    """Give a version the alias of the challenger. Another worker may do the same at this moment."""
    try:
        tracking.client.set_registered_model_alias(name, CHALLENGER, str(version))
    except MlflowException:  # of two workers at once the store refuses one
        if aliases(tracking, name).get(CHALLENGER) != version:
            raise


def record_scores(tracking: Tracking, benchmark: str, cells: pd.DataFrame, registered: Iterable[ModelVersion]) -> None:
    """Record the mean scores of a benchmark with the versions that it used.

    Args:
        tracking: of both.
        benchmark: id of its run.
        cells: of the benchmark, with columns ``subject``, ``motion`` and one a metric.
        registered: the versions that it used.
    """
    for version in registered:
        role, of = role_of(version.name), version.name.rpartition(".")[2]
        used = cells[cells[role.noun] == of] if role else cells
        if used.empty:
            continue
        means = used[[name for name in metric_names() if name in used]].mean().dropna()
        scores = {name: f"{value:.6f}" for name, value in means.items()}
        tags = {score_tag(name): value for name, value in scores.items()} | {Tag.SCORED_CELLS: str(len(used))}
        changed = {name: value for name, value in tags.items() if version.tags.get(name) != value}
        if not changed:
            continue
        for name, value in (changed | {Tag.SCORED_BY: benchmark}).items():
            _tag(tracking, version, name, value)
        labelled = {METRICS[name].label: METRICS[name].print(float(value)) for name, value in scores.items()}
        card = with_scores(version.description or "", labelled, len(used), benchmark)
        tracking.client.update_model_version(version.name, version.version, card)


def _tag(tracking: Tracking, version: ModelVersion, name: str, value: str) -> None:
    """Tag a version. Another benchmark may do the same at this moment."""
    tag = version.name, version.version, name, value
    try:
        tracking.client.set_model_version_tag(*tag)
    except MlflowException:  # of two first tags at once the store refuses one, which then replaces the other
        tracking.client.set_model_version_tag(*tag)
