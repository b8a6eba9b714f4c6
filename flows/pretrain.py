"""Train the pocket models as a flow: one MLflow run a stage, each continuing from its checkpoint."""

from functools import lru_cache
from pathlib import Path

from prefect import flow, task

from dreamvideo.errors import InputError
from dreamvideo.files import content_key
from dreamvideo.params import Params
from flows.progress import bar
from flows.provenance import git_commit, machine
from flows.tracking import Tracking

KIND = "pretraining"
CHECKPOINTS = Path("checkpoints")


def run_pretrain(params: Params) -> str:
    """Train every stage that is not finished; returns the id of the last stage's run.

    Raises:
        InputError: the profile's base model is not trained by this project.
    """
    if params.pretraining is None:
        raise InputError(
            f"profile {params.profile!r} has no pretraining section: its weights are published; "
            "point base_model.weights to them"
        )
    return pretrain_flow(params.model_dump_json())


@flow(name="pretrain", validate_parameters=False)
def pretrain_flow(params_json: str) -> str:
    """The stages one after the other."""
    params = Params.model_validate_json(params_json)
    return [stage_task.with_options(task_run_name=name)(params_json, name) for name in _stage_names(params)][-1]


def _stage_names(params: Params) -> list[str]:
    return [name for name in type(params.pretraining).model_fields if name not in {"clips", "seed"}]


@task(name="pretraining-stage")
def stage_task(params_json: str, name: str) -> str:
    """Train one stage; returns the id of its run."""
    return train_stage(Params.model_validate_json(params_json), name)


def train_stage(params: Params, name: str) -> str:
    """Train one stage and record it; what has a finished run and its files is not trained again."""
    tracking = Tracking(params.tracking)
    names = _stage_names(params)
    earlier = {stage: getattr(params.pretraining, stage).model_dump() for stage in names[: names.index(name) + 1]}
    key = content_key([earlier, params.pretraining.clips, params.pretraining.seed, params.base_model.offset_noise])
    finished = tracking.finished(KIND)
    if key in finished:
        return finished[key]
    from dreamvideo.pretraining.stages import STAGES

    stage = getattr(params.pretraining, name)
    tags = {"mlflow.source.git.commit": git_commit(), "dreamvideo.profile": params.profile}
    tags |= {f"dreamvideo.machine.{what}": value for what, value in machine().items()}
    with tracking.run(KIND, f"pretrain {name}", key, tags) as record, bar(f"pretrain {name}", stage.steps) as line:
        record.params |= stage.model_dump() | {"clips": params.pretraining.clips, "seed": params.pretraining.seed}
        curve = record.curves.setdefault("loss", [])

        def report(step: int, loss: float, samples: int, seconds: float) -> None:
            curve.append(loss)
            record.metrics |= {"samples": samples, "seconds": seconds}
            line.at(step, f"loss {loss:.4f}")

        measured = STAGES[name](_workshop(params.model_dump_json()), stage, report)
        record.metrics |= {f"quality.{what}": value for what, value in measured.items()}
    return record.run_id


@lru_cache(maxsize=1)
def _workshop(params_json: str):
    """The workshop of this process; its rendered clips serve every stage."""
    from dreamvideo.pretraining.stages import Workshop

    params = Params.model_validate_json(params_json)
    base, metrics = params.base_model.weights, params.evaluation.weights
    return Workshop(base, metrics, CHECKPOINTS, params.pretraining, params.base_model.offset_noise)
