"""The ``dreamvideo benchmark`` commands."""

from typing import TYPE_CHECKING

import typer

from flows.cli.options import Method, Motions, Profile, Prompts, Seed, Subjects, catalog_of, out, profile_params

if TYPE_CHECKING:
    from dreamvideo.params import Params
    from flows.planning.selection import Selection

app = typer.Typer(
    name="benchmark", no_args_is_help=True, help="Run every subject x motion combination, or show the plan."
)


def selection_of(
    params: "Params", subjects: str | None, motions: str | None, prompts: int | None, seed: int | None
) -> "Selection":
    """The selection of a user. It refuses an unknown name before the slow imports."""
    from flows.planning.selection import Selection

    selection = Selection(subjects, motions, prompts, seed)
    selection.chosen(catalog_of(params))
    return selection


@app.command(epilog="Example: dreamvideo benchmark run --subjects cat,racing_car --motions 4 --seed 1")
def run(
    subjects: Subjects = None,
    motions: Motions = None,
    prompts: Prompts = None,
    seed: Seed = None,
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Check the data, train the missing adapters, run the missing combinations, and write the report."""
    params = profile_params(profile, method)
    selection = selection_of(params, subjects, motions, prompts, seed)
    from flows.benchmark import run_benchmark
    from flows.reports.regression import regression
    from flows.tracking.store import Tracking

    outcome = run_benchmark(params, selection)
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


@app.command(epilog="Example: dreamvideo benchmark plan --prompts 2")
def plan(
    subjects: Subjects = None,
    motions: Motions = None,
    prompts: Prompts = None,
    seed: Seed = None,
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Show what a run would do: what it reuses, what it computes, and how long that takes."""
    params = profile_params(profile, method)
    selection = selection_of(params, subjects, motions, prompts, seed)
    from flows.execution.progress import bar
    from flows.planning.estimate import estimate

    with bar("looking up finished runs"):
        lines = estimate(params, selection)
    for line in lines:
        out.print(line)
