"""What a run stored, to be used again; a run that lost it is finished no more."""

from pathlib import Path

from dreamvideo.errors import DamagedError
from flows.tracking.store import ARTIFACT, REASON, Tracking


def reuse(tracking: Tracking, run_id: str) -> Path:
    """The artifact of a finished run, as :meth:`Tracking.fetch` gives it.

    Raises:
        DamagedError: it is gone, or is not what was stored; the run has failed from now on, so that it is found no more and the
            next run makes the artifact again.
    """
    try:
        return tracking.fetch(run_id)
    except DamagedError as error:
        artifact = tracking.get(run_id).data.tags[ARTIFACT]
        reason = f"run {run_id}: its {artifact} is gone, or is not what was stored; the next run makes it again"
        tracking.client.set_tag(run_id, REASON, reason)
        tracking.client.set_terminated(run_id, "FAILED")
        raise DamagedError(reason) from error
