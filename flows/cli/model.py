"""The ``dreamvideo model`` commands."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flows.cli.options import Profile, out, profile_params

if TYPE_CHECKING:
    from flows.registry.comparison import Comparison

app = typer.Typer(
    name="model", no_args_is_help=True, help="The registry: the trained versions, and which of them is in use."
)

Name = Annotated[str, typer.Argument(help="A registered model, such as identity.pocket.dog.")]


@app.command("list")
def list_models(profile: Profile = None) -> None:
    """List the registered models with their champion and challenger."""
    params = profile_params(profile)
    from dreamvideo.dataset.licences import commercial_use
    from flows.registry.models import CHALLENGER, CHAMPION, registered_models, versions
    from flows.tracking.schema import Tag
    from flows.tracking.store import open_store

    tracking = open_store(params.tracking)
    table = Table("model", "champion", "challenger", "versions", "method", "commercial use")
    for model in registered_models(tracking):
        known = {str(version.version): version for version in versions(tracking, model.name)}
        seated = [str(model.aliases.get(alias, "")) for alias in (CHAMPION, CHALLENGER)]
        tags = known[seated[0]].tags if seated[0] in known else {}
        allowed = commercial_use(tags[Tag.LICENCE]) if Tag.LICENCE in tags else ""
        table.add_row(model.name, *seated, str(len(known)), tags.get(Tag.METHOD, ""), allowed)
    if table.row_count:
        out.print(table)
    else:
        out.print("nothing is registered yet; `dreamvideo benchmark run` registers what it trains")


@app.command()
def history(name: Name, profile: Profile = None) -> None:
    """Show every change of a model's champion: when, who, from, to, and the MLflow run with the comparison."""
    params = profile_params(profile)
    from flows.registry.history import decisions, missing, settle
    from flows.registry.models import CHAMPION, aliases
    from flows.tracking.store import open_store

    tracking = open_store(params.tracking)
    settle(tracking, name)
    seated = aliases(tracking, name).get(CHAMPION)
    found = decisions(tracking, name)
    table = Table("when (UTC)", "who", "decision", "from", "to", "cells", "MLflow run", title=name)
    for one in found:
        moved = str(one.previous or ""), str(one.version)
        table.add_row(one.when, one.who, one.action, *moved, str(one.cells or ""), one.run_id)
    out.print(table)
    for ordinal in missing(found):
        out.print(f"[yellow]note:[/] decision {ordinal} is missing: its run was deleted in MLflow")
    if seated != (found[-1].version if found else None):
        out.print(f"[yellow]note:[/] the champion is version {seated}: it was moved by other means than these commands")


@app.command()
def promote(
    name: Name,
    version: Annotated[
        int | None, typer.Option(min=1, help="The version. Without it, the command takes the challenger.")
    ] = None,
    profile: Profile = None,
) -> None:
    """Make the challenger the champion, if no metric is worse by more than its margin over the cells of both."""
    params = profile_params(profile)
    from flows.registry.promotion import promote as run

    comparison = run(params, name, version)
    if comparison is None:
        out.print(f"promoted: {name} had no champion to compare with")
        return
    _show(comparison)
    if not comparison.passes:
        out.print(f"[red]not promoted:[/] {comparison.reason}")
        raise typer.Exit(1)
    out.print(f"promoted: {name} version {comparison.challenger}, was {comparison.champion}")


@app.command()
def rollback(name: Name, profile: Profile = None) -> None:
    """Undo the last promotion. The version before it is champion again."""
    params = profile_params(profile)
    from flows.registry.promotion import rollback as run

    before, after = run(params, name)
    out.print(f"rolled back: {name} version {after} is champion again, was {before}")


def _show(comparison: "Comparison") -> None:
    """Print what speaks for and against a challenger."""
    from evaluation.metrics import METRICS

    title = f"{comparison.model}: version {comparison.challenger} against champion {comparison.champion}"
    table = Table("metric", "challenger", "champion", "gain", "at least", "margin", "pairs", "", title=title)
    for one in comparison.metrics:
        numbers = [f"{one.challenger:.4f}", f"{one.champion:.4f}", f"{one.gain:+.4f}", f"{one.bound:+.4f}"]
        verdict = f"[red]{one.reason}[/]" if one.reason else "within its margin"
        table.add_row(METRICS[one.metric].label, *numbers, f"-{one.margin:g}", str(one.pairs), verdict)
    out.print(table)
    out.print(
        f"{len(comparison.pairs)} combinations that both finished, and that differ in this version alone; "
        f"all gains are at least what is said with a confidence of {comparison.confidence:.0%} together (Bonferroni)"
    )
