"""The ``dreamvideo benchmark`` and ``dreamvideo report`` commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import Method, Motions, Profile, Prompts, Seed, Subjects, app, catalog_of, out, profile_params

if TYPE_CHECKING:
    from dreamvideo.params import Params
    from flows.request import Request

benchmark_app = typer.Typer(no_args_is_help=True, help="Run every subject x motion combination, or plan to.")
report_app = typer.Typer(no_args_is_help=True, help="Build a report from what MLflow keeps, or compare two.")
app.add_typer(benchmark_app, name="benchmark")
app.add_typer(report_app, name="report")


def request_of(
    params: "Params", subjects: str | None, motions: str | None, prompts: int | None, seed: int | None
) -> "Request":
    """What the user asks for; an unknown name is refused before what takes seconds to import."""
    from flows.request import Request

    request = Request(subjects, motions, prompts, seed)
    request.chosen(catalog_of(params))
    return request


@benchmark_app.command(epilog="Example: dreamvideo benchmark run --subjects cat,racing_car --motions 4 --seed 1")
def run(
    subjects: Subjects = None,
    motions: Motions = None,
    prompts: Prompts = None,
    seed: Seed = None,
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Check the data, train what is missing, run every missing combination, and write the report."""
    params = profile_params(profile, method)
    request = request_of(params, subjects, motions, prompts, seed)
    from flows.benchmark import run_benchmark
    from flows.regression import regression
    from flows.tracking import Tracking

    outcome = run_benchmark(params, request)
    out.print(
        f"{outcome.finished} combinations finished, of which {outcome.reused} were there already; {outcome.failed} failed"
    )
    for line in outcome.promotions:
        out.print(line)
    if fell := regression(params, outcome.run_id):
        out.print(f"[red]{fell}[/]")
    out.print(f"report: {outcome.report}")
    out.print(
        f"MLflow run {outcome.run_id}; look at all of them with: mlflow ui --backend-store-uri {Tracking(params.tracking).shown_uri}"
    )
    if outcome.failed:
        raise typer.Exit(1)


@benchmark_app.command(epilog="Example: dreamvideo benchmark plan --prompts 2")
def plan(
    subjects: Subjects = None,
    motions: Motions = None,
    prompts: Prompts = None,
    seed: Seed = None,
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Say what a run would do: what is cached, what must run, and how long that should take."""
    params = profile_params(profile, method)
    request = request_of(params, subjects, motions, prompts, seed)
    from flows.forecast import forecast
    from flows.progress import bar

    with bar("looking up what is there"):
        lines = forecast(params, request)
    for line in lines:
        out.print(line)


@report_app.command("build")
def build_report(
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="MLflow run of a benchmark; the newest if omitted.")
    ] = None,
    profile: Profile = None,
) -> None:
    """Write the HTML report of a benchmark run."""
    params = profile_params(profile)
    from flows.report import latest_benchmark, write_report
    from flows.tracking import Tracking

    _, path = write_report(params, run_id or latest_benchmark(Tracking(params.tracking)))
    out.print(f"report: {path}")


@report_app.command(epilog="The runs' ids are printed by `dreamvideo benchmark run`, and `mlflow ui` lists them.")
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run of a benchmark.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run to hold it against, as of another method.")],
    profile: Profile = None,
) -> None:
    """Say by how much one benchmark scores above another, over the combinations that both have."""
    params = profile_params(profile)
    from flows.compare import compare_runs, show

    show(compare_runs(params, first, second), out)


@report_app.command(epilog="Example: dreamvideo report publish RUN --out results")
def publish(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run of a benchmark.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write; earlier results in it are replaced.")],
    against: Annotated[str | None, typer.Option(help="A run to hold it against, as of another method.")] = None,
    profile: Profile = None,
) -> None:
    """Write a benchmark's results as Markdown, tables and pictures, to be committed."""
    params = profile_params(profile)
    from flows.progress import bar
    from flows.publish import publish as write

    with bar("drawing the results"):
        write(params, run_id, against, out_folder)
    out.print(f"results: {out_folder / 'README.md'}")
