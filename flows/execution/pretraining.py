"""Train one stage of the pocket models, record it, and release what all stages made."""

import json
import shutil
from functools import lru_cache
from pathlib import Path

from dreamvideo.files import content_key, replacing_folder, sha256_file
from dreamvideo.params import Params, PretrainingParams
from flows.execution.progress import bar
from flows.tracking.leases import end_abandoned, live_run
from flows.tracking.provenance import git_commit, machine
from flows.tracking.schema import Kind, Tag, machine_tags
from flows.tracking.store import Tracking, open_store

CHECKPOINTS = Path("checkpoints")
BASE, METRICS = CHECKPOINTS / "finished" / "base", CHECKPOINTS / "finished" / "metrics"


def release(finished: Path, weights: Path) -> None:
    """Replace a folder of weights as a whole, unless it holds the same files already."""
    new = sorted(finished.glob("*.safetensors"))
    if all((weights / path.name).exists() and sha256_file(weights / path.name) == sha256_file(path) for path in new):
        return
    with replacing_folder(weights) as folder:
        for path in (*weights.glob("*"), *new):
            shutil.copyfile(path, folder / path.name)


def train_stage(params: Params, name: str) -> str:
    """Train one stage and record it. A stage that has a finished run and all its files is not trained again."""
    from dreamvideo.pretraining.stages import STAGES, lineage

    pretraining = _required(params)
    tracking, stage = open_store(params.tracking), getattr(pretraining, name)
    key = content_key([lineage(pretraining, params.base_model.offset_noise, name), stage.steps])
    finished = tracking.finished(Kind.PRETRAINING)
    if key in finished and _files_are_there(tracking, finished[key]):
        return finished[key]
    tags: dict[str, str] = {Tag.GIT_COMMIT: git_commit(), Tag.PROFILE: params.profile}
    tags |= machine_tags(machine())
    shop = _workshop(params.model_dump_json())
    with bar("rendering clips", pretraining.clips) as line:
        shop.render(line.at)
    end_abandoned(tracking, Kind.PRETRAINING)
    with (
        live_run(tracking, Kind.PRETRAINING, f"pretrain {name}", key, tags) as record,
        bar(f"pretrain {name}", stage.steps) as line,
    ):
        record.params |= stage.model_dump() | {"clips": pretraining.clips, "seed": pretraining.seed}
        curve = record.curves.setdefault("loss", {})

        def report(step: int, loss: float, samples: int, seconds: float) -> None:
            curve[step] = loss
            record.metrics |= {"samples": samples, "seconds": seconds}
            line.at(step, f"loss {loss:.4f}")

        shop.left.clear()
        measured = STAGES[name](shop, stage, report)
        record.metrics |= {f"quality.{what}": value for what, value in measured.items()}
        record.tags[Tag.FILES] = json.dumps({str(path): sha256_file(path) for path in shop.left})
    return record.run_id


def _files_are_there(tracking: Tracking, run_id: str) -> bool:
    files = json.loads(tracking.get(run_id).data.tags[Tag.FILES])
    return all(Path(path).exists() and sha256_file(Path(path)) == digest for path, digest in files.items())


def _required(params: Params) -> PretrainingParams:
    assert params.pretraining is not None, "the flow refuses a profile without it"
    return params.pretraining


@lru_cache(maxsize=1)
def _workshop(params_json: str):
    """The workshop of this process. All stages share its rendered clips."""
    from dreamvideo.pretraining.stages import Workshop

    params = Params.model_validate_json(params_json)
    return Workshop(BASE, METRICS, CHECKPOINTS, _required(params), params.base_model.offset_noise)
