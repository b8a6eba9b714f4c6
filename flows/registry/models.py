"""The registered models in MLflow: their names, versions and aliases.

A name is ``identity.<base>.<subject>``, ``motion.<base>.<motion>`` or ``composition.<base>``.
"""

import re
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.utils import get_results_from_paginated_fn

from dreamvideo.errors import DamagedError, InputError, unknown_name
from dreamvideo.roles import Role
from flows.tracking.schema import Tag
from flows.tracking.store import PAGE, Tracking

CHAMPION, CHALLENGER = "champion", "challenger"
COMPOSITION = "composition"  # the first word of the name of a model that composes two adapters
_WORD = "[a-z0-9_]+"
_NAME = re.compile(rf"(?:{'|'.join(Role)})\.{_WORD}\.{_WORD}|{COMPOSITION}\.{_WORD}")
_KEY = re.compile("[0-9a-f]{64}")


def adapter_model(role: Role, base: str, name: str) -> str:
    """The name of the registered model that holds the adapters of a subject or a motion."""
    return checked_name(f"{role}.{base}.{name}")


def composition_model(base: str) -> str:
    """The name of the registered model that composes the adapters of a base model."""
    return checked_name(f"{COMPOSITION}.{base}")


def checked_name(name: str) -> str:
    """A name, after a check: it may have only letters, digits, _ and dots.

    Raises:
        InputError: no registered model can have this name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"model {name!r} must be identity.BASE.SUBJECT, motion.BASE.MOTION or composition.BASE, as in "
            "identity.pocket.dog; `dreamvideo model list` shows all"
        )
    return name


def role_of(name: str) -> Role | None:
    """The role of a registered model's adapters; None for a composition."""
    word = name.partition(".")[0]
    return None if word == COMPOSITION else Role(word)


def registered_models(tracking: Tracking) -> list[RegisteredModel]:
    """The registered models of this project, sorted by name."""
    found = get_results_from_paginated_fn(
        lambda number, token: tracking.client.search_registered_models(
            max_results=number, order_by=["name ASC"], page_token=token
        ),
        PAGE,
    )
    return [model for model in found if _NAME.fullmatch(model.name)]


def registered_model(tracking: Tracking, name: str) -> RegisteredModel:
    """One registered model, with its aliases.

    Raises:
        InputError: there is none of this name.
    """
    try:
        return tracking.client.get_registered_model(checked_name(name))
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        known = [model.name for model in registered_models(tracking)]
        if not known:
            raise InputError(
                f"no model {name!r}, as none is registered yet; `dreamvideo benchmark run` registers what it trains"
            ) from error
        raise unknown_name("model", name, known) from error


def aliases(tracking: Tracking, name: str) -> dict[str, int]:
    """Version numbers by alias."""
    return {alias: int(number) for alias, number in registered_model(tracking, name).aliases.items()}


def versions(tracking: Tracking, name: str) -> list[ModelVersion]:
    """The versions of a model, oldest first. Versions without a key are left out: other tools registered them."""
    condition = f"name = '{checked_name(name)}'"
    found = get_results_from_paginated_fn(
        lambda number, token: tracking.client.search_model_versions(condition, max_results=number, page_token=token),
        PAGE,
    )
    known = [version for version in found if _KEY.fullmatch(version.tags.get(Tag.KEY, ""))]
    return sorted(known, key=lambda version: int(version.version))


def version(tracking: Tracking, name: str, number: int) -> ModelVersion:
    """One version of a model.

    Raises:
        InputError: the model has no such version.
    """
    known = {int(one.version): one for one in versions(tracking, name)}
    if number not in known:
        raise InputError(
            f"{name} has no version {number}; it has {', '.join(map(str, known)) or 'none that can be used'}"
        )
    return known[number]


def champion(tracking: Tracking, name: str) -> ModelVersion:
    """The version that is in use.

    Raises:
        InputError: there is none.
    """
    try:
        found = tracking.client.get_model_version_by_alias(checked_name(name), CHAMPION)
    except MlflowException as error:
        if error.error_code not in map(ErrorCode.Name, (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)):
            raise
        raise InputError(
            f"{name} has no champion; `dreamvideo benchmark run` registers one, and `dreamvideo model promote` chooses one"
        ) from error
    return version(tracking, name, int(found.version))


def fetch_version(tracking: Tracking, version: ModelVersion) -> Path:
    """The artifact of a version, checked against the hash that the version was registered with.

    Raises:
        DamagedError: it is missing, or not what was registered.
    """
    run_id = version.run_id or ""  # MLflow refuses a version without a run, as a person may make one
    recorded = tracking.get(run_id).data.tags.get(Tag.SHA256)
    if recorded != version.tags.get(Tag.SHA256):
        raise DamagedError(
            f"{version.name} version {version.version}: its run {run_id} says another SHA-256 than the registry; "
            "roll back to a version that is whole"
        )
    return tracking.artifacts.fetch(run_id)
