"""Describe a profile without loading weights: the networks are built on the meta device and counted."""

from torch import nn

from dreamvideo.base_models import describe_base_model
from dreamvideo.base_models.loading import is_hub_id
from dreamvideo.params import Params
from flows.planning.plan import build_method

UNIT = 2**20  # the paper counts parameters in units of 2^20, rounded down


def describe(params: Params) -> dict:
    """The profile as JSON: base model, trainable parameters by stage, and settings.

    Raises:
        InputError: the base model's configuration is damaged.
    """
    networks = describe_base_model(params.base_model)
    method = build_method(params)
    stages = method.trainable_parameters(networks)
    return {
        "profile": params.profile,
        "base_model": {
            "name": params.base_model.name,
            "parameters": {"denoiser": count(networks.denoiser)},
            "configuration": "published" if networks.published else "own",
            "weights": _weights(params) if networks.published else "there",
        },
        "method": {
            "name": method.name,
            "trainable_parameters": stages,
            "trainable_parameters_in_2^20": {stage: number // UNIT for stage, number in stages.items()},
        },
        "settings": params.model_dump(mode="json"),
    }


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def _weights(params: Params) -> str:
    """The reason why no configuration of weights can be read."""
    return "not fetched" if is_hub_id(params.base_model.weights) else "absent"
