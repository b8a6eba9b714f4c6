"""Train the pocket models as a flow: one MLflow run a stage, each continuing from its checkpoint."""

from prefect import flow, task

from dreamvideo.errors import InputError
from dreamvideo.params import Params
from flows.execution.pretraining import BASE, METRICS, release, train_stage


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
    """The stages one after the other; the profile's weights are replaced when all are finished, and not before."""
    from dreamvideo.pretraining.stages import STAGES

    params = Params.model_validate_json(params_json)
    runs = [stage_task.with_options(task_run_name=name)(params_json, name) for name in STAGES]
    release(BASE, params.base_model.weights)
    release(METRICS, params.evaluation.weights)
    return runs[-1]


@task(name="pretraining-stage")
def stage_task(params_json: str, name: str) -> str:
    """Train one stage; returns the id of its run."""
    return train_stage(Params.model_validate_json(params_json), name)
