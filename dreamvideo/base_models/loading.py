"""Published weights in the layout of diffusers and open_clip, from a local folder or a pinned revision of the hub."""

import json
import re
from pathlib import Path
from typing import Any

import torch

from dreamvideo.errors import InputError, in_brief
from dreamvideo.files import weights_key
from dreamvideo.params import BaseModelParams

_HUB = re.compile(r"hub:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?")
_PLAIN = ("*.safetensors", "*.json", "*.txt", "*.model")  # never a pickle
# Files that decide about a base model besides its tensors: configurations, tokens, noise schedule.
_SETTINGS = ("[!.]*/[!.]*.json", "[!.]*/[!.]*.txt", "open_clip_config.json")
_VARIANTS = ("*.fp16.*", "*.non_ema.*")


def is_hub_id(location: Path) -> bool:
    """Whether a location is ``hub:OWNER/NAME@COMMIT`` and not a folder."""
    return str(location).startswith("hub:")


def local_folder(location: Path) -> Path:
    """The folder of weights. If ``location`` is ``hub:OWNER/NAME@COMMIT``, it is fetched from the hub first.

    Raises:
        InputError: the folder is absent, the commit is not pinned, or the hub cannot be reached.
    """
    match = _HUB.fullmatch(str(location))
    if match is None:
        if not location.is_dir():
            raise InputError(
                f"{location}: no such folder of weights; run `dreamvideo data pull`, or give another folder"
            )
        return location
    repository, revision = _pinned(location, match)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_PLAIN, ignore_patterns=_VARIANTS))
    except Exception as error:  # the hub, the network and the disk raise errors of their own
        raise InputError(
            f"{location} cannot be fetched ({type(error).__name__}: {in_brief(error)}); "
            "download it where there is a network, and give the folder instead"
        ) from error


def folder_at_hand(location: Path) -> Path | None:
    """The folder of weights, or None if it is not on this machine. Nothing is fetched.

    Raises:
        InputError: the commit is not pinned.
    """
    match = _HUB.fullmatch(str(location))
    if match is None:
        return location if location.is_dir() else None
    repository, revision = _pinned(location, match)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _pinned(location: Path, match: re.Match) -> tuple[str, str]:
    """Repository and commit of a location on the hub."""
    repository, revision = match["repository"], match["revision"]
    if not re.fullmatch("[0-9a-f]{40}", revision or ""):
        raise InputError(
            f"{location}: the revision is {revision!r}, must be a commit of 40 digits, so that the weights never "
            f"change unnoticed; write hub:{repository}@COMMIT"
        )
    return repository, revision


def base_model_key(params: BaseModelParams) -> str:
    """Hash of a base model's files: tensors, JSON and text. No weights are loaded.

    Raises:
        InputError: a folder of weights is absent.
    """
    locations = [params.weights, *([params.appearance] if params.appearance else [])]
    return weights_key(*map(local_folder, locations), also=_SETTINGS)


def load_pretrained(architecture: Any, folder: Path) -> Any:
    """Load a model of diffusers or transformers. Its folder must hold each tensor and no other. Nothing is unpickled.

    Args:
        architecture: the class, with ``from_pretrained``.
        folder: holds config.json and safetensors.

    Returns:
        The model, frozen, in evaluation mode, in float32.

    Raises:
        InputError: the folder is absent, a file is truncated, or a tensor is missing, left over or of another shape.
    """
    remedy = "give a folder with whole safetensors of this model"
    options = {"use_safetensors": True, "output_loading_info": True, "low_cpu_mem_usage": False}
    model, info = _load(architecture, folder, "config.json", remedy, options)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(problem):
            first = sorted(map(str, info[problem]))[0]
            raise InputError(
                f"{folder}: {problem.replace('_', ' ')} for {architecture.__name__}, such as {first}; {remedy}"
            )
    return model.float().eval().requires_grad_(False)


def load_weightless(architecture: Any, folder: Path, config: str, **options: Any) -> Any:
    """A part of a base model that has no tensors, such as its tokenizer or scheduler.

    Args:
        architecture: the class, with ``from_pretrained``.
        folder: holds its files.
        config: the file that must be there.
        options: values that replace those in the file.

    Raises:
        InputError: the file is absent or damaged, or describes something else.
    """
    return _load(architecture, folder, config, "give a folder with this part of the model", options)


def _load(architecture: Any, folder: Path, config: str, remedy: str, options: dict) -> Any:
    if not (folder / config).is_file():
        raise InputError(f"{folder}: no {config} there; {remedy}")
    try:
        return architecture.from_pretrained(folder, local_files_only=True, **options)
    except Exception as error:  # safetensors, JSON, shapes and each class raise errors of their own
        raise InputError(
            f"{folder} cannot be loaded as {architecture.__name__} ({in_brief(error)}); {remedy}"
        ) from error


def without_weights(architecture: Any, folder: Path) -> Any:
    """A model of diffusers on the meta device, built from its folder's config.json.

    Raises:
        InputError: the file is absent or no JSON, or describes another architecture.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
        if config.get("_class_name", architecture.__name__) != architecture.__name__:
            raise ValueError(f"it is that of a {config['_class_name']}")
        with torch.device("meta"):
            return architecture.from_config(config)
    except Exception as error:  # JSON and impossible sizes raise errors of their own
        raise InputError(
            f"{path} does not describe a {architecture.__name__} ({in_brief(error)}); give a base in diffusers' layout"
        ) from error


def read_open_clip_config(folder: Path) -> dict:
    """The content of a folder's open_clip_config.json: ``model_cfg``, with the embedding's width, among others.

    Raises:
        InputError: it is absent or no JSON, or has no such entry.
    """
    path, remedy = folder / "open_clip_config.json", "give a folder in open_clip's layout"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); {remedy}") from error
    model = content.get("model_cfg") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("embed_dim"), int):
        raise InputError(f"{path} has no model_cfg with an embed_dim; {remedy}")
    return content


def load_open_clip(folder: Path) -> tuple[Any, dict]:
    """An OpenCLIP model from its folder, frozen, and how its pixels are normalised: "mean" and "std", three each.

    Raises:
        InputError: a file is absent or truncated, or does not fit the configuration.
    """
    import open_clip

    statistics = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    preprocess = statistics | (read_open_clip_config(folder).get("preprocess_cfg") or {})
    if not (folder / "open_clip_model.safetensors").is_file():
        raise InputError(f"{folder}: no open_clip_model.safetensors there; give a folder in open_clip's layout")
    try:
        model = open_clip.create_model(f"local-dir:{folder}")
    except Exception as error:  # safetensors, JSON and shapes raise errors of their own
        raise InputError(f"{folder} cannot be loaded by open_clip ({in_brief(error)}); give whole weights") from error
    return model.float().eval().requires_grad_(False), preprocess
