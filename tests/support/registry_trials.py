"""What the tests of the registry ask of its store, which lies in the working directory."""

from functools import cache

from dreamvideo.params import Params, PromotionParams, load_params
from flows.planning.selection import Selection
from flows.registry import history as decisions
from flows.registry.models import version
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import Tracking, open_store

DOG = "identity.pocket.dog"
COMPOSITION = "composition.pocket"
LAX = PromotionParams(confidence=0.6, margins={"clip_t": 2.0})  # so that two motions are enough, and any score
DOG_ONLY = Selection(subjects="dog")


def params(identity_steps: int = 2, policy: PromotionParams | None = LAX) -> Params:
    """The miniature with another recipe for identities, or another policy."""
    loaded = load_params()
    loaded.methods["dreamvideo"]["identity_adapter"]["steps"] = identity_steps
    return loaded.model_copy(update={"promotion": policy})


@cache
def tracking() -> Tracking:
    return open_store(load_params().tracking)


def history(name: str = DOG) -> list[tuple]:
    return [(one.action, one.previous, one.version) for one in decisions.decisions(tracking(), name)]


def cell_of(number: int, motion: str):
    """The run of the newest cell of a version of the dog."""
    key = version(tracking(), DOG, number).tags[Tag.KEY]
    found = tracking().runs(Kind.CELL)
    return next(r for r in found if r.data.tags[Tag.SUBJECT_KEY] == key and r.data.params["motion"] == motion)


def selection_of(cell) -> dict:
    return {name: cell.data.params[name] for name in ("subject", "motion", "prompt")} | {
        "seed": int(cell.data.params["seed"])
    }
