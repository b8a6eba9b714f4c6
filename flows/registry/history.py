"""The history of a model's champion: who made which version the champion, when and why. Each decision is one MLflow run.

MLflow's own registry keeps no history. A decision's run is finished before the alias moves, so that every move leaves a
trace. If a process is killed between the two, the next process that looks completes the move. The lease of a decision's
run contains its number among the decisions of the model. So if two decisions come at once, one of them is refused.
"""

import getpass
import json
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_USER

from dreamvideo.errors import ConflictError, InputError
from dreamvideo.files import content_key
from flows.registry.models import CHALLENGER, CHAMPION, aliases, registered_model
from flows.tracking.leases import LeaseHeldError, is_alive, leased_run
from flows.tracking.liveness import this_process
from flows.tracking.schema import Artifact, Count, Kind, Tag
from flows.tracking.store import Tracking

FIRST, PROMOTION, AUTOMATIC, ROLLBACK = "first version", "promotion", "automatic promotion", "rollback"
# The values of Tag.MOVE: whether the alias has moved, too. Older decisions lack the tag; they were recorded after it had.
DECIDED, MOVED = "decided", "moved"
_moving = (
    threading.Lock()
)  # so that no thread of this process completes a move that another thread makes at this moment


@dataclass(frozen=True)
class Decision:
    """One move of a champion."""

    run_id: str  # the evidence is an artifact of this run
    ordinal: int  # 0 for a decision of version 0.1, which has none
    when: str  # UTC
    who: str
    action: str
    previous: int | None  # version
    version: int
    cells: int  # how many the evidence compares


def decide(
    tracking: Tracking, model: str, action: str, previous: int | None, version: int, evidence: dict,
    metrics: dict[str, float] | None = None,
) -> None:  # fmt: skip
    """Make a version the champion, and record it.

    Args:
        tracking: where both are kept.
        model: name of the registered model.
        action: why the alias moves; one of the words above.
        previous: the champion so far, if any.
        version: the champion to be.
        evidence: JSON values.
        metrics: numbers of the evidence, so that MLflow can search by them.

    Raises:
        ConflictError: another process decides, or has just decided, over the same model.
    """
    born = _born(tracking, model)
    # The highest number, not how many there are: runs may have been deleted. ORDINAL tells the key from one of version 0.1.
    ordinal = max((made.ordinal for made in decisions(tracking, model)), default=0) + 1
    place = content_key([model, born, Tag.ORDINAL, ordinal])
    tags = {
        Tag.MODEL: model,
        Tag.BORN: born,
        Tag.ACTION: action,
        Tag.FROM_VERSION: str(previous or ""),
        Tag.TO_VERSION: str(version),
        MLFLOW_USER: who(),
    }
    tags |= {Tag.ORDINAL: str(ordinal)}
    name = f"{action} of {model}: {f'{previous} -> ' if previous else ''}{version}"
    with _moving:
        try:
            with (
                leased_run(tracking, Kind.PROMOTION, name, place, tags) as record,
                tempfile.TemporaryDirectory() as folder,
            ):
                if _unmoved(tracking, model) or aliases(tracking, model).get(CHAMPION) != previous:
                    raise LeaseHeldError(None)
                path = Path(folder) / Artifact.EVIDENCE
                path.write_text(json.dumps(evidence, indent=1))
                tracking.keep(record, path)
                record.metrics |= metrics or {}
                record.tags[Tag.MOVE] = DECIDED
        except LeaseHeldError as taken:
            raise _meanwhile(model) from taken
        _move(tracking, tracking.get(record.run_id))


def settle(tracking: Tracking, model: str) -> None:
    """Complete a move that a killed process decided but did not make. The process of a move under way completes it itself."""
    with _moving:
        for run in _unmoved(tracking, model):
            if run.data.tags[Tag.WORKER] == this_process() or not is_alive(run):
                _move(tracking, run)


def _unmoved(tracking: Tracking, model: str) -> list[Run]:
    """The decisions whose alias may not have moved yet: one at most."""
    return tracking.runs(Kind.PROMOTION, {Tag.MODEL: model, Tag.BORN: _born(tracking, model), Tag.MOVE: DECIDED})


def _move(tracking: Tracking, run: Run) -> None:
    """Move the aliases as a decision says, as far as they have not moved yet."""
    decision, model = _decision(run), run.data.tags[Tag.MODEL]
    seated = aliases(tracking, model)
    if (
        seated.get(CHAMPION) == decision.previous
    ):  # otherwise the alias has moved already, by this decision or by other means
        tracking.client.set_registered_model_alias(model, CHAMPION, str(decision.version))
    if seated.get(CHALLENGER) == decision.version:
        tracking.client.delete_registered_model_alias(model, CHALLENGER)
    tracking.client.set_tag(run.info.run_id, Tag.MOVE, MOVED)


def _meanwhile(model: str) -> ConflictError:
    return ConflictError(
        f"{model}: someone else moved its champion just now; look with `dreamvideo model history {model}`"
    )


def decisions(tracking: Tracking, model: str) -> list[Decision]:
    """All decisions over a model, oldest first, without those over a deleted model of the same name."""
    made = tracking.runs(Kind.PROMOTION, {Tag.MODEL: model, Tag.BORN: _born(tracking, model)})
    return [_decision(run) for run in reversed(made)]


def missing(history: list[Decision]) -> list[int]:
    """The numbers of decisions whose runs were deleted. A new decision uses the number of a deleted last decision again."""
    known = {decision.ordinal for decision in history}
    return sorted(set(range(1, max(known, default=0))) - known)


def _born(tracking: Tracking, model: str) -> str:
    return registered_model(tracking, model).tags.get(Tag.BORN, "")


def undone_by_rollback(history: list[Decision], model: str, champion: int) -> int:
    """The version that a rollback returns to: the one that the last standing promotion replaced.

    Raises:
        InputError: there is nothing to undo, or the champion was moved by other means since.
    """
    standing: list[Decision] = []
    for decision in history:
        standing = standing[:-1] if decision.action == ROLLBACK else [*standing, decision]
    last = standing[-1] if standing else None
    if last is None or last.previous is None:
        raise InputError(f"{model}: its champion is its first one, so there is no promotion to undo")
    if last.version != champion:
        raise InputError(
            f"{model}: its champion is version {champion}, but the history ends with {last.version}: it was moved by "
            f"other means; choose one with `dreamvideo model promote {model} --version N`"
        )
    return last.previous


def who() -> str:
    """The user that this process runs as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"


def _decision(run: Run) -> Decision:
    tags = run.data.tags
    return Decision(
        run_id=run.info.run_id,
        ordinal=int(tags.get(Tag.ORDINAL, 0)),
        when=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(run.info.start_time / 1000)),
        who=tags.get(MLFLOW_USER, ""),
        action=tags[Tag.ACTION],
        previous=int(tags[Tag.FROM_VERSION]) if tags[Tag.FROM_VERSION] else None,
        version=int(tags[Tag.TO_VERSION]),
        cells=int(run.data.metrics.get(Count.CELLS, 0)),
    )
