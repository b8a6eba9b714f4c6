"""What a benchmark would do and how long it should take, from the rates measured on this tracking store."""

from statistics import median

from mlflow.entities import Run

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.params import Params
from flows.benchmark import Request, plan_request
from flows.tracking import GENERATION_KEY, KEY, Tracking

# Seconds of the default method on two idle cores of an AMD EPYC (Milan); only until this store has measurements.
UNMEASURED = {"identity adapters": 56.0, "motion adapters": 36.0, "combinations": 4.3}


def forecast(params: Params, request: Request) -> list[str]:
    """Lines that say what is cached, what must run, and for how long."""
    tracking = Tracking(params.tracking)
    plan = plan_request(params, load_catalog(params.data.root), request)
    adapter_runs, cell_runs = (
        [run for run in tracking.runs(kind) if run.data.params.get("method") == params.method]
        for kind in ("adapter", "cell")
    )
    keys = {run.data.tags[KEY] for run in (*adapter_runs, *cell_runs)}
    videos = {run.data.tags.get(GENERATION_KEY) for run in cell_runs}
    wanted = {f"{kind} adapters": {a.key for a in plan.adapters if a.kind == kind} for kind in ("identity", "motion")}
    to_score = {cell.key for cell in plan.cells if cell.generation_key in videos} - keys
    wanted |= {"combinations": {cell.key for cell in plan.cells} - to_score, "videos to score again": to_score}
    runs = {
        f"{k} adapters": [r for r in adapter_runs if r.data.tags["dreamvideo.adapter"] == k]
        for k in ("identity", "motion")
    }
    runs["combinations"] = [run for run in cell_runs if "video_of" not in run.data.params]
    rates = {what: _typical(found) for what, found in runs.items()}
    # Every video that is there was scored when it was made.
    scored = [run.data.metrics["seconds.score"] for run in cell_runs[:100] if "seconds.score" in run.data.metrics]
    rates["videos to score again"] = median(scored) if scored else None
    seconds, lines, measured = 0.0, [], True
    for what, all_keys in wanted.items():
        if not all_keys:
            continue
        missing, rate = len(all_keys - keys), rates[what]
        measured &= rate is not None or not missing
        rate = UNMEASURED[what] if rate is None else rate
        seconds += missing * rate
        lines.append(_line(what, len(all_keys), missing, rate))
    source = "measured here" if measured else "partly from a reference machine with two idle cores"
    lines.append(f"expected time: {_duration(seconds)} ({source})")
    return lines


def _typical(runs: list[Run]) -> float | None:
    """Median seconds of the newest hundred runs, or None where there is none."""
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
