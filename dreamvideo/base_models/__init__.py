"""Frozen video diffusion models that methods customise, one file each."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from dreamvideo.base_models.contract import Architecture, VideoDiffusionModel, base_models
from dreamvideo.errors import unknown_name
from dreamvideo.params import BaseModelParams, ComputeParams


def base_model_names() -> list[str]:
    """The names of all base models: a file of this folder that registers its own name is found by itself."""
    return [module.name for module in iter_modules(__path__) if _registers_itself(module.name)]


def _registers_itself(name: str) -> bool:
    """Whether a file has the registering line. Importing it to find out would take seconds."""
    return f'@base_models.register("{name}")' in Path(__path__[0], f"{name}.py").read_text(encoding="utf-8")


def load_base_model(params: BaseModelParams, compute: ComputeParams | None = None) -> VideoDiffusionModel:
    """The base model that a profile names, with its weights.

    Raises:
        InputError: unknown name, or weights that are absent or do not fit.
    """
    return _named(params.name)(params, compute or ComputeParams())


def describe_base_model(params: BaseModelParams) -> Architecture:
    """The architecture of the base model that a profile names; no weights are needed.

    Raises:
        InputError: unknown name, or a configuration that is damaged.
    """
    return _named(params.name).architecture(params)


def _named(name: str) -> type[VideoDiffusionModel]:
    if name not in base_model_names():
        raise unknown_name("base model", name, base_model_names())
    import_module(f"{__name__}.{name}")  # late, since it imports diffusers and open_clip
    return base_models[name]
