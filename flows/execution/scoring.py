"""Score the videos of finished cells with the metrics that they lack: no video is generated, and none is copied."""

import time
from contextlib import suppress

from prefect import task

from dreamvideo.files import content_key
from dreamvideo.memory import memory_explained, scoring_remedy
from evaluation.metrics import METRICS
from flows.execution.resources import Resources, resources_for
from flows.planning.keys import CellPlan
from flows.tracking.leases import LeaseHeldError, leased_run
from flows.tracking.schema import Figure, Kind, Tag, by_key, revision_tags


@task(name="score-cell", task_run_name="{plan.subject} x {plan.motion}")
def score_cell_task(params_json: str, plan: CellPlan, cell_run: str, metrics: list[str], parent: str) -> str | None:
    """Score a finished cell; returns the id of the run with the scores, or None if another worker scores it."""
    with suppress(LeaseHeldError):
        return score_cell(resources_for(params_json), plan, cell_run, metrics, parent)
    return None


def score_cell(resources: Resources, plan: CellPlan, cell_run: str, metrics: list[str], parent: str) -> str:
    """Score a finished cell with the metrics that it lacks.

    Args:
        resources: metric encoders and data.
        plan: the cell.
        cell_run: id of the run that keeps its video.
        metrics: the metrics that it lacks.
        parent: id of the benchmark's run.

    Returns:
        The id of the run that holds the scores.

    Raises:
        LeaseHeldError: another worker scores it.
        DamagedError: the video is not what was stored; the cell counts as failed from now on.
    """
    name = f"{plan.subject} x {plan.motion}"
    # Under the key of the cell, too, so that a report finds out why the scoring failed.
    tags = resources.provenance | {Tag.CELL_RUN: cell_run} | by_key(Kind.SCORES, plan.key)
    key = scores_key(plan, cell_run, metrics)
    with leased_run(resources.tracking, Kind.SCORES, f"scores of {name}", key, tags, parent) as record:
        resources.verify(plan)
        subject, motion = resources.catalog.subject(plan.subject), resources.catalog.motion(plan.motion)
        video = resources.tracking.artifacts.reuse(cell_run)
        started = time.monotonic()
        with memory_explained(f"scoring {name}", scoring_remedy(resources.params.execution)):
            record.metrics |= resources.suite.score_video(video, subject, motion, plan.prompt, metrics)
        record.metrics[Figure.SECONDS_SCORING] = time.monotonic() - started
        record.tags |= revision_tags({metric: METRICS[metric].revision for metric in metrics})
    return record.run_id


def scores_key(plan: CellPlan, cell_run: str, metrics: list[str]) -> str:
    """The key of the scores that a finished cell lacks."""
    return content_key([plan.key, cell_run, {metric: METRICS[metric].revision for metric in metrics}])
