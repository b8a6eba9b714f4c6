"""The ``dreamvideo report`` commands."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Profile, out, profile_params

app = typer.Typer(name="report", no_args_is_help=True, help="Build a report from what MLflow keeps, or compare two.")


@app.command("build")
def build_report(
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="MLflow run of a benchmark; the newest if omitted.")
    ] = None,
    profile: Profile = None,
) -> None:
    """Write the HTML report of a benchmark run."""
    params = profile_params(profile)
    from flows.reports.build import latest_benchmark, write_report
    from flows.tracking.store import Tracking

    _, path = write_report(params, run_id or latest_benchmark(Tracking(params.tracking)))
    out.print(f"report: {path}")


@app.command(epilog="The runs' ids are printed by `dreamvideo benchmark run`, and `mlflow ui` lists them.")
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run of a benchmark.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run to hold it against, as of another method.")],
    profile: Profile = None,
) -> None:
    """Say by how much one benchmark scores above another, over the combinations that both have."""
    params = profile_params(profile)
    from flows.reports.compare import compare_runs, show

    show(compare_runs(params, first, second), out)


@app.command(epilog="Example: dreamvideo report publish RUN --out results")
def publish(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run of a benchmark.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write; earlier results in it are replaced.")],
    against: Annotated[str | None, typer.Option(help="A run to hold it against, as of another method.")] = None,
    profile: Profile = None,
) -> None:
    """Write a benchmark's results as Markdown, tables and pictures, to be committed."""
    params = profile_params(profile)
    from flows.execution.progress import bar
    from flows.reports.publish import publish as write

    with bar("drawing the results"):
        write(params, run_id, against, out_folder)
    out.print(f"results: {out_folder / 'README.md'}")
