"""The ``dreamvideo report`` commands."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Profile, out, profile_params

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    name="report", no_args_is_help=True, help="Build the report of a benchmark from MLflow, or compare two benchmarks."
)


@app.command("build")
def build_report(
    run_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]", help="The MLflow run of a benchmark. Without it, the command takes the newest."
        ),
    ] = None,
    profile: Profile = None,
) -> None:
    """Write the HTML report of a benchmark run."""
    params = profile_params(profile)
    from flows.reports.benchmark_run import latest_benchmark
    from flows.reports.build import write_report
    from flows.tracking.store import open_store

    _, path = write_report(params, run_id or latest_benchmark(open_store(params.tracking)))
    out.print(f"report: {path}")


@app.command(epilog="`dreamvideo benchmark run` prints the id of its run, and `mlflow ui` lists all of them.")
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="The MLflow run of a benchmark.")],
    second: Annotated[
        str, typer.Argument(metavar="RUN", help="The run to compare with, such as one of another method.")
    ],
    profile: Profile = None,
) -> None:
    """Show how much higher one benchmark scores than another, over the combinations that both have."""
    params = profile_params(profile)
    from flows.reports.compare import compare_runs

    _show(compare_runs(params, first, second))


@app.command(epilog="Example: dreamvideo report publish RUN --out results")
def publish(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The MLflow run of a benchmark.")],
    out_folder: Annotated[
        Path, typer.Option("--out", help="The folder to write. The command replaces earlier results in it.")
    ],
    against: Annotated[str | None, typer.Option(help="A run to compare with, such as one of another method.")] = None,
    profile: Profile = None,
) -> None:
    """Write the results of a benchmark as Markdown, tables and pictures that you can commit."""
    params = profile_params(profile)
    from flows.execution.progress import bar
    from flows.reports.publish import publish as write

    with bar("drawing the results"):
        write(params, run_id, against, out_folder)
    out.print(f"results: {out_folder / 'README.md'}")


def _show(table: "pd.DataFrame") -> None:
    """Print a comparison. A difference whose interval holds zero counts as none."""
    from rich.table import Table

    from evaluation.metrics import METRICS

    printed = Table("metric", "first", "second", "first - second", "95% interval", "", title="paired over shared cells")
    for row in table.itertuples():
        if math.isnan(row.low):
            interval, verdict = "", "too few to say"
        else:
            interval = f"{row.low:+.4f} to {row.high:+.4f}"
            verdict = "higher" if row.low > 0 else "lower" if row.high < 0 else "no difference shown"
        label = METRICS[row.metric].label
        printed.add_row(label, f"{row.first:.4f}", f"{row.second:.4f}", f"{row.difference:+.4f}", interval, verdict)
    out.print(printed)
    out.print(f"{table['cells'].max() if len(table) else 0} combinations that both runs finished")
