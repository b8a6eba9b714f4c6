"""The ``dreamvideo benchmark`` commands."""

import math
from typing import TYPE_CHECKING

import typer

from flows.cli.options import Method, Motions, Profile, Prompts, Seed, Subjects, catalog_of, out, profile_params

if TYPE_CHECKING:
    from dreamvideo.params import Params
    from flows.planning.selection import Selection
    from flows.tracking.records import Proposal

app = typer.Typer(
    name="benchmark", no_args_is_help=True, help="Run every subject x motion combination, or show the plan."
)

NOT_MEASURED = "not measured yet on this machine"


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
    from flows.tracking.store import open_store

    outcome = run_benchmark(params, selection)
    out.print(f"{outcome.finished} combinations finished ({outcome.reused} of them reused), {outcome.failed} failed")
    for line in proposed(outcome.proposals):
        out.print(line)
    if fell := regression(params, outcome.run_id):
        out.print(f"[red]{fell}[/]")
    out.print(f"report: {outcome.report}")
    out.print(
        f"MLflow run {outcome.run_id}; look at all of them with: mlflow ui --backend-store-uri {open_store(params.tracking).shown_uri}"
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
        found = estimate(params, selection)
    for work in found.work:
        each = f", {NOT_MEASURED}" if math.isnan(work.seconds_each) else f" at {work.seconds_each:.1f} s each"
        cached = work.wanted - work.missing
        out.print(f"{work.what}: {work.wanted}, of which {cached} cached and {work.missing} to run{each}")
    source = "measured here" if found.measured_here else "partly from a reference machine with two idle cores"
    time = f"{_duration(found.seconds)} ({source}), besides starting and the report"
    storage = f"{found.bytes / 1e6:.1f} MB of adapters and videos"
    out.print(f"expected time: {NOT_MEASURED if math.isnan(found.seconds) else time}")
    out.print(f"expected storage: {NOT_MEASURED if math.isnan(found.bytes) else storage}")


def proposed(proposals: "list[Proposal]") -> list[str]:
    """What to tell of a benchmark's challengers, a line each; those that do not pass share one."""
    lines = []
    for one in proposals:
        if one.promoted:
            lines.append(f"promoted: {one.model} version {one.challenger}, was {one.champion}")
        elif one.passes:
            lines.append(f"version {one.challenger} would pass: dreamvideo model promote {one.model}")
    if failing := [one.model for one in proposals if not one.passes]:
        lines.append(
            f"challengers that would not pass: {', '.join(failing)}; `dreamvideo model promote NAME` says why, as does "
            "promotion.json of the run"
        )
    return lines


def _duration(seconds: float) -> str:
    if seconds >= 1.5 * 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
