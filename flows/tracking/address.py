"""The address of the tracking store: told to MLflow, its password apart."""

import os
from urllib.parse import unquote, urlsplit

import mlflow

TRACKING_URI = "MLFLOW_TRACKING_URI"  # the environment variable that users set


def credentials_apart(uri: str) -> str:
    """A server's address without user and password, which MLflow reads from the environment: errors repeat the address."""
    address = urlsplit(uri)
    if not address.scheme.startswith("http") or address.username is None:
        return uri
    names = {"MLFLOW_TRACKING_USERNAME": address.username, "MLFLOW_TRACKING_PASSWORD": address.password or ""}
    os.environ.update({name: unquote(value) for name, value in names.items()})
    return address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()


def use(uri: str) -> None:
    """Make a store MLflow's own default, but in this process alone: it would tell those that this one starts, too."""
    exported = os.environ.get(TRACKING_URI)
    mlflow.set_tracking_uri(uri)
    os.environ.pop(TRACKING_URI, None)
    if exported is not None:
        os.environ[TRACKING_URI] = exported
