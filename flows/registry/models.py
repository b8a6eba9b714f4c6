"""MLflow's model registry: the names, versions and aliases of what was trained.

A name is ``identity.<base>.<subject>``, ``motion.<base>.<motion>`` or ``composition.<base>``.
"""

import re
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from dreamvideo.errors import DamagedError, InputError, unknown_name
from dreamvideo.roles import Role
from flows.tracking.schema import Tag
from flows.tracking.store import Tracking

CHAMPION, CHALLENGER = "champion", "challenger"
COMPOSITION = "composition"  # the first word of a name that is of no role: the model that composes two adapters
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
    """A name as it was given, which nothing but letters, digits, _ and dots can be in.

    Raises:
        InputError: it is no name of a registered model.
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
    """All registered models that have such a name, by name."""
    found, token = [], None
    while True:
        page = tracking.client.search_registered_models(max_results=1000, order_by=["name ASC"], page_token=token)
        found += [model for model in page if _NAME.fullmatch(model.name)]
        token = page.token
        if not token:
            return found


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
    """The numbers of the versions that have an alias, by alias."""
    return {alias: int(number) for alias, number in registered_model(tracking, name).aliases.items()}


def versions(tracking: Tracking, name: str) -> list[ModelVersion]:
    """The versions of a model, oldest first; without those that were registered by other means, which have no key."""
    found, token = [], None
    while True:
        page = tracking.client.search_model_versions(f"name = '{checked_name(name)}'", page_token=token)
        found += [version for version in page if _KEY.fullmatch(version.tags.get(Tag.KEY, ""))]
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version))


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
    recorded = tracking.get(version.run_id).data.tags.get(Tag.SHA256)
    if recorded != version.tags.get(Tag.SHA256):
        raise DamagedError(
            f"{version.name} version {version.version}: its run {version.run_id} says another SHA-256 than the registry; "
            "roll back to a version that is whole"
        )
    return tracking.artifacts.fetch(version.run_id)
