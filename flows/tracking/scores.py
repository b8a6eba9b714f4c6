"""The scores of finished cells: those in the run that made the cell, and those that later runs added.

A finished run is never changed. A metric that is new, or has a new revision, is recorded in a run of its own, which
refers to the run with the video.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlflow.entities import Run

from flows.tracking.schema import Kind, Tag, revisions_of, scores_of
from flows.tracking.store import Tracking


@dataclass(frozen=True)
class FinishedCell:
    """A finished cell."""

    run: Run  # made the video, and scored it
    later: Mapping[str, Run] = field(default_factory=dict)  # runs that added scores, by id, newest first

    @property
    def key(self) -> str:
        """The cell's key."""
        return self.run.data.tags[Tag.KEY]

    @property
    def run_id(self) -> str:
        """The id of the run that keeps the video."""
        return self.run.info.run_id

    def sources(self, revisions: Mapping[str, int]) -> dict[str, str]:
        """The id of the run that holds each score.

        Args:
            revisions: of the metrics that are asked for.

        Returns:
            Run ids by metric, without the metrics that nobody has scored at that revision.
        """
        found: dict[str, str] = {}
        for run in (self.run, *self.later.values()):
            scored = revisions_of(run.data.tags)
            for metric, revision in revisions.items():
                if scored.get(metric) == revision:
                    found.setdefault(metric, run.info.run_id)
        return found

    def added(self, revisions: Mapping[str, int]) -> dict[str, str]:
        """The :meth:`sources` that are later runs."""
        return {metric: run_id for metric, run_id in self.sources(revisions).items() if run_id != self.run_id}

    def lacking(self, revisions: Mapping[str, int]) -> list[str]:
        """The metrics that nobody has scored at the revision asked for."""
        found = self.sources(revisions)
        return [metric for metric in revisions if metric not in found]

    def scores(self, added: Mapping[str, str]) -> dict[str, float]:
        """The scores by metric; one that is not known is left out.

        Args:
            added: run ids of the scores that replace or complete those of the cell's own run.
        """
        scores = {name: value for name, value in scores_of(self.run.data.metrics).items() if name not in added}
        later = {metric: self.later[run_id].data.metrics for metric, run_id in added.items()}
        return scores | {metric: values[metric] for metric, values in later.items() if metric in values}


def finished_cells(tracking: Tracking, tags: Mapping[str, str] | None = None) -> list[FinishedCell]:
    """The finished cells whose runs have some tags, newest first."""
    later: defaultdict[str, dict[str, Run]] = defaultdict(dict)
    for run in tracking.runs(Kind.SCORES):
        later[run.data.tags[Tag.CELL_RUN]][run.info.run_id] = run
    return [FinishedCell(run, later[run.info.run_id]) for run in tracking.runs(Kind.CELL, tags)]
