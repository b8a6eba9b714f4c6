"""The servers of one machine: Prefect, MLflow and one worker a GPU, as commands that other machines and containers use too."""

import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dreamvideo.errors import InputError
from dreamvideo.params import Params
from dreamvideo.user_input import matching, refusal
from flows.servers.processes import Service

FOLDER = Path("server")  # databases, logs and process ids
POOL = "gpu"
PREFIX = "DREAMVIDEO_"
HOME = "DREAMVIDEO_HOME"  # where a worker finds params.yaml, data and weights; prefect.yaml names it
HEARTBEAT = 60  # seconds between a run's signs of life
DATABASE = "an address that begins with postgresql://, as in postgresql://USER:PASSWORD@HOST:PORT/NAME"
QUIET = {"PREFECT_LOGGING_LEVEL": "INFO", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class ServerSettings(BaseSettings):
    """Where the servers listen and what they keep their data in; each field is an environment variable DREAMVIDEO_*."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    prefect_port: int = Field(default=4200, gt=0, lt=65536)
    mlflow_port: int = Field(default=5000, gt=0, lt=65536)
    # postgresql://USER:PASSWORD@HOST:PORT/NAME; SQLite files if empty
    database: Annotated[str, matching(r"|postgresql://.*", DATABASE)] = Field(default="", repr=False)
    artifacts: str = ""  # with a database: a folder, or s3://BUCKET/PATH, that the MLflow server keeps artifacts in

    @property
    def prefect_url(self) -> str:
        """Where this machine reaches the Prefect server."""
        return f"http://{_reachable(self.host)}:{self.prefect_port}"

    @property
    def mlflow_url(self) -> str:
        """Where this machine reaches the MLflow server."""
        return f"http://{_reachable(self.host)}:{self.mlflow_port}"

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach the servers."""
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"


def server_settings() -> ServerSettings:
    """The settings of this process's environment.

    Raises:
        InputError: a value that does not fit.
    """
    try:
        return ServerSettings()
    except ValidationError as error:
        # The cause is left out, since it may hold a password.
        raise refusal(ServerSettings, error, "environment", _variable) from None


def _variable(keys: Sequence[int | str]) -> str:
    return f"{PREFIX}{keys[0]}".upper()


def prefect_service(settings: ServerSettings) -> Service:
    """The Prefect server."""
    database = f"sqlite+aiosqlite:///{(FOLDER / 'prefect.db').resolve()}"
    environment = QUIET | {"PREFECT_HOME": str((FOLDER / "prefect").resolve())}
    # What browsers call, and what alerts link to; not the server that this shell happens to use.
    own = {"PREFECT_SERVER_UI_API_URL": f"{settings.prefect_url}/api", "PREFECT_UI_URL": settings.prefect_url}
    environment |= {name: os.environ.get(name, url) for name, url in own.items()}
    if settings.database:
        database = settings.database.replace("postgresql://", "postgresql+asyncpg://", 1)
        environment["PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_SEARCH_PATH"] = "prefect, public"
    environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
    command = ("-m", "prefect", "server", "start", "--host", settings.host, "--port", str(settings.prefect_port))
    return Service("prefect", (sys.executable, *command), settings.prefect_url, environment)


def mlflow_service(settings: ServerSettings, params: Params) -> Service:
    """The MLflow server, over the same store that commands use without one, or over PostgreSQL."""
    command = ["-m", "mlflow", "server", "--host", settings.host, "--port", str(settings.mlflow_port), "--workers", "2"]
    folder = params.tracking.artifacts.resolve().as_uri()
    if settings.database:
        separator = "&" if "?" in settings.database else "?"
        # A schema for each of the two, since both keep the version of their tables under the same name.
        store = f"{settings.database}{separator}options=-csearch_path%3Dmlflow"
        command += ["--artifacts-destination", settings.artifacts or folder]
    else:
        # Artifacts by their path, so that they are found with this server and without it.
        store = params.tracking.uri
        command += ["--default-artifact-root", folder]
    environment = QUIET | {"MLFLOW_BACKEND_STORE_URI": store}
    return Service("mlflow", (sys.executable, *command), settings.mlflow_url, environment)


def worker_service(api: str, mlflow_url: str, gpu: str | None, with_healthcheck: bool = False) -> Service:
    """A Prefect worker that runs one flow at a time, on one GPU or on none.

    Args:
        api: URL of the Prefect server's API.
        mlflow_url: of the MLflow server.
        gpu: its name in CUDA_VISIBLE_DEVICES.
        with_healthcheck: whether it reports its health by HTTP on this machine. Two workers of one machine cannot both do so.
    """
    name = f"worker-{'cpu' if gpu is None else gpu}"
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--limit", "1"]
    command += ["--name", worker_name(name), *(["--with-healthcheck"] if with_healthcheck else [])]
    environment = QUIET | {
        "PREFECT_HOME": str((FOLDER / "prefect").resolve()),
        "PREFECT_API_URL": api,
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT),
        "MLFLOW_TRACKING_URI": mlflow_url,
        "CUDA_VISIBLE_DEVICES": gpu or "",
        HOME: str(Path.cwd()),
        # Runs have no use for these secrets.
        f"{PREFIX}DATABASE": "",
        f"{PREFIX}ALERT_WEBHOOK": "",
    }
    return Service(name, tuple(command), api, environment)


def worker_name(service: str) -> str:
    """What Prefect calls a worker of this machine."""
    return f"{socket.gethostname()} {service}"


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    chosen = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (chosen or [str(index) for index in range(count)])[:count]


def prepare(service: str, settings: ServerSettings, params: Params) -> None:
    """Create what a server keeps its data in before anything uses it, since a first use by several processes at once fails.

    Args:
        service: "prefect" or "mlflow".
        settings: which name the database, if any.
        params: which name the store of runs where there is no database.

    Raises:
        InputError: no SQLite file to keep runs in, or a database that cannot be used.
    """
    if settings.database:
        _create_schema(settings.database, service)
    elif service == "mlflow":
        if not params.tracking.uri.startswith("sqlite:///"):
            raise InputError(
                f"params.yaml: tracking.uri is {params.tracking.uri!r}, which is a server already; "
                "name a file, as in sqlite:///mlflow.db, to serve it"
            )
        from flows.tracking.store import open_store

        open_store(params.tracking)


def check_port(host: str, port: int, setting: str) -> None:
    """Refuse a port that another program holds.

    Raises:
        InputError: it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"{PREFIX}{setting.upper()} is {port}, but {host}:{port} cannot be had ({error.strerror}); "
                f"choose a free port, as in {PREFIX}{setting.upper()}={port + 10 if port < 65000 else 4210}"
            ) from error


def _create_schema(url: str, schema: str) -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        engine.dispose()
    except ModuleNotFoundError as error:
        raise InputError(
            f"{PREFIX}DATABASE needs {error.name}; install it with: pip install -c constraints.txt -e '.[postgres]'"
        ) from error
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        place = make_url(url).render_as_string(hide_password=True)
        raise InputError(
            f"{PREFIX}DATABASE: {place} cannot be used ({reason}); check the URL and that it runs"
        ) from None


def _reachable(host: str) -> str:
    """The address by which this machine reaches a server of its own."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
