"""The ``dreamvideo server`` commands."""

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from dreamvideo.errors import InputError
from flows.cli.options import out

app = typer.Typer(
    name="server",
    no_args_is_help=True,
    help="Run the Prefect server, the MLflow server and one worker for each GPU.\n\n"
    "Settings are environment variables: DREAMVIDEO_HOST (127.0.0.1), DREAMVIDEO_PREFECT_PORT (4200), "
    "DREAMVIDEO_MLFLOW_PORT (5000), DREAMVIDEO_DATABASE (SQLite files, or postgresql://USER:PASSWORD@HOST:PORT/NAME), "
    "DREAMVIDEO_ARTIFACTS (with a database: a folder or s3://BUCKET/PATH), DREAMVIDEO_ALERT_WEBHOOK (none).",
)


@app.command()
def up() -> None:
    """Start the servers and workers that do not run yet, register the deployments, and print the addresses."""
    from dreamvideo.params import load_params
    from flows.reports.build import FOLDER as REPORTS
    from flows.servers.processes import heed_interrupts
    from flows.servers.services import server_settings

    settings, params = server_settings(), load_params()
    _warn_if_open(settings)
    heed_interrupts()
    from flows.servers.lifecycle import up as run

    urls = run(settings, params, out.print)
    out.print(f"Prefect  {urls['prefect']}")
    out.print(f"MLflow   {urls['mlflow']}")
    out.print(f"reports  {REPORTS.resolve().as_uri()}/")
    out.print("to use these servers in this shell:")
    out.print(f"  export PREFECT_API_URL={urls['prefect']}/api")
    out.print(f"  export MLFLOW_TRACKING_URI={urls['mlflow']}")


@app.command()
def down() -> None:
    """Stop everything that `up` started. Databases, runs and reports stay."""
    from flows.servers.lifecycle import down as run

    stopped = run()
    out.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing runs")
    if exported := [name for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI") if os.environ.get(name)]:
        out.print(f"this shell still points to the servers; run: unset {' '.join(exported)}")


@app.command()
def status() -> None:
    """List the services and their health. The exit code is 1 if one is not healthy."""
    from flows.servers.lifecycle import status as run

    found = run()
    if not found:
        out.print("nothing runs; `dreamvideo server up` starts it")
        return
    table = Table("service", "process", "address", "")
    for service in found:
        state = "healthy" if service.healthy else "[red]not healthy[/]" if service.pid else "[red]ended[/]"
        table.add_row(service.name, str(service.pid or ""), service.url, state)
    out.print(table)
    if not all(service.healthy for service in found):
        out.print("`dreamvideo server up` starts the ended services again; server/NAME.log has the reason")
        raise typer.Exit(1)


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="prefect|mlflow|worker", help="The service to run.")],
    gpu: Annotated[
        str | None,
        typer.Option(
            help="The GPU of a worker, as in CUDA_VISIBLE_DEVICES. Without it, the worker takes the first GPU."
        ),
    ] = None,
    with_healthcheck: Annotated[
        bool, typer.Option("--with-healthcheck", help="A worker also answers on http://127.0.0.1:8080/health.")
    ] = False,
) -> None:
    """Run one service in the foreground: for containers, service units and further machines.

    A worker reads the addresses of the servers from PREFECT_API_URL and MLFLOW_TRACKING_URI.
    """
    from dreamvideo.errors import unknown_name
    from dreamvideo.params import load_params
    from flows.servers.processes import heed_interrupts, run_here
    from flows.servers.services import (
        FOLDER,
        gpus,
        mlflow_service,
        prefect_service,
        prepare,
        server_settings,
        worker_service,
    )

    settings = server_settings()
    if name == "worker":
        api, mlflow_url = _named_in_environment("PREFECT_API_URL"), _named_in_environment("MLFLOW_TRACKING_URI")
        service = worker_service(api, mlflow_url, gpu or next(iter(gpus()), None), with_healthcheck)
    elif name in ("prefect", "mlflow"):
        params = load_params()
        _warn_if_open(settings)
        prepare(name, settings, params)
        service = prefect_service(settings) if name == "prefect" else mlflow_service(settings, params)
    else:
        raise unknown_name("server", name, ["prefect", "mlflow", "worker"])
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    heed_interrupts()
    run_here(service)


@app.command()
def register() -> None:
    """Register the work pool, the deployments of prefect.yaml and the alerts with the server at PREFECT_API_URL."""
    api = _named_in_environment("PREFECT_API_URL")
    from flows.servers.prefect_setup import register as run

    run(api, out.print)


def _named_in_environment(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise InputError(
            f"{variable} is not set; `dreamvideo server up` prints its value, such as {variable}=http://HOST:PORT"
        )
    return value


def _warn_if_open(settings) -> None:
    if settings.is_open:
        Console(stderr=True, highlight=False).print(
            f"[bold red]WARNING:[/] DREAMVIDEO_HOST is {settings.host}: every machine that reaches this one can read and "
            "change all runs, and start flows. The servers ask for no password; keep them behind a firewall or a proxy."
        )
