"""Frozen video diffusion models that methods customise, one file each."""

from importlib import import_module

from dreamvideo.base_models.contract import Architecture, VideoDiffusionModel, base_models
from dreamvideo.params import BaseModelParams


def load_base_model(params: BaseModelParams) -> VideoDiffusionModel:
    """The base model that a profile names, with its weights.

    Raises:
        InputError: unknown name, or weights that are absent or do not fit.
    """
    return _named(params.name)(params)


def describe_base_model(params: BaseModelParams) -> Architecture:
    """The architecture of the base model that a profile names; no weights are needed."""
    return _named(params.name).architecture()


def _named(name: str) -> type[VideoDiffusionModel]:
    import_module("dreamvideo.base_models.pocket")  # late, since it imports diffusers and open_clip
    return base_models[name]
