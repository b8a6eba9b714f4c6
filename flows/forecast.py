"""What a benchmark would do and how long it should take, from the rates measured on this tracking store."""

from statistics import median

from mlflow.entities import Run

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.params import Params
from flows.benchmark import Request, plan_request
from flows.tracking import Tracking

# Seconds on two idle cores of an AMD EPYC (Milan); only until this store has measurements of its own.
UNMEASURED = {"identity": 56.0, "motion": 36.0, "cell": 4.3}


def forecast(params: Params, request: Request) -> list[str]:
    """Lines that say what is cached, what must run, and for how long."""
    tracking = Tracking(params.tracking)
    plan = plan_request(params, load_catalog(params.data.root), request)
    adapter_runs, cell_runs = tracking.runs("adapter"), tracking.runs("cell")
    keys = {run.data.tags["dreamvideo.key"] for run in (*adapter_runs, *cell_runs)}
    seconds, lines, measured = 0.0, [], True
    for kind in ("identity", "motion"):
        wanted = [adapter for adapter in plan.adapters if adapter.kind == kind]
        missing = [adapter for adapter in wanted if adapter.key not in keys]
        rate = _typical([run for run in adapter_runs if run.data.tags.get("dreamvideo.adapter") == kind], params.method)
        measured &= rate is not None or not missing
        seconds += len(missing) * (rate or UNMEASURED[kind])
        lines.append(_line(f"{kind} adapters", len(wanted), len(missing), rate or UNMEASURED[kind]))
    missing_cells = [cell for cell in plan.cells if cell.key not in keys]
    rate = _typical([run for run in cell_runs if "video_of" not in run.data.params], params.method)
    measured &= rate is not None or not missing_cells
    seconds += len(missing_cells) * (rate or UNMEASURED["cell"])
    lines.append(_line("combinations", len(plan.cells), len(missing_cells), rate or UNMEASURED["cell"]))
    source = "measured here" if measured else "partly from a reference machine with two idle cores"
    lines.append(f"expected time: {_duration(seconds)} ({source})")
    return lines


def _typical(runs: list[Run], method: str) -> float | None:
    """Median seconds of the newest hundred runs of a method, or None where there is none."""
    runs = [run for run in runs if run.data.params.get("method") == method]
    durations = [(run.info.end_time - run.info.start_time) / 1000 for run in runs[:100]]
    return median(durations) if durations else None


def _line(what: str, wanted: int, missing: int, rate: float) -> str:
    return f"{what}: {wanted}, of which {wanted - missing} cached and {missing} to run at {rate:.1f} s each"


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return (
        f"{hours:.1f} hours"
        if hours >= 1.5
        else f"{minutes:.1f} minutes"
        if minutes >= 1.5
        else f"{seconds:.0f} seconds"
    )
