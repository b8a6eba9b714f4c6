"""Import the base model and the trained adapters of DreamVideo's authors."""

import shutil
from pathlib import Path

from diffusers import UNet3DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from dreamvideo.authors.checkpoints import (
    convert_identity,
    convert_motion,
    convert_textual_identity,
    convert_unet,
    read_checkpoint,
)
from dreamvideo.base_models import describe_base_model
from dreamvideo.base_models.loading import base_model_key, local_folder, without_weights
from dreamvideo.errors import InputError
from dreamvideo.files import replacing_folder, sha256_file
from dreamvideo.methods.dreamvideo import DreamVideo
from dreamvideo.params import Params
from dreamvideo.roles import Role
from dreamvideo.weights import check_fit, save_weights

METHOD = "dreamvideo"


def import_base(checkpoint: Path, like: Path, out: Path) -> None:
    """Convert the authors' UNet. All other parts come from a base model in the layout of diffusers.

    Args:
        checkpoint: ModelScopeT2V in its original layout.
        like: a base in diffusers' layout, for the UNet's configuration, VAE, text encoder, tokenizer and scheduler.
        out: the folder to write, whole or not at all.

    Raises:
        InputError: ``out`` exists, ``like`` is no such base, or the checkpoint does not fit.
    """
    if out.exists():
        raise InputError(f"--out is {str(out)!r}, which exists; choose another folder, or delete it first")
    source = local_folder(like)
    if not (source / "unet" / "config.json").is_file():
        raise InputError(f"--like is {str(like)!r}, which has no unet/config.json; give a base in diffusers' layout")
    unet = without_weights(UNet3DConditionModel, source / "unet")
    tensors = convert_unet(read_checkpoint(checkpoint), unet.config)
    check_fit(unet, tensors, checkpoint)
    with replacing_folder(out) as folder:
        for part in source.glob("[!.]*/"):
            if part.name != "unet":
                shutil.copytree(part, folder / part.name)
        unet.save_config(folder / "unet")
        weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, weights, metadata={"format": "pt"})


def import_identity(params: Params, checkpoint: Path, text: Path, out: Path) -> None:
    """Convert a subject: the identity adapter and the embedding of its pseudo-word.

    Raises:
        InputError: a file is something else, or does not fit the profile's base model.
    """
    tensors = convert_identity(read_checkpoint(checkpoint))
    embedding = convert_textual_identity(read_checkpoint(text))
    base, method = describe_base_model(params.base_model), _method(params)
    check_fit(method.identity_adapter(base), tensors, checkpoint)
    if embedding["embedding"].numel() != base.text_width:
        raise InputError(
            f"{text}: its embedding is {embedding['embedding'].numel()} wide, must be {base.text_width} for "
            f"{params.base_model.name}; give the file that belongs to it"
        )
    _save(params, Role.SUBJECT, method.subject_tensors(embedding, tensors), (checkpoint, text), out)


def import_motion(params: Params, checkpoint: Path, out: Path) -> None:
    """Convert a motion adapter.

    Raises:
        InputError: the file is something else, or does not fit the profile's base model.
    """
    tensors = convert_motion(read_checkpoint(checkpoint))
    base = describe_base_model(params.base_model)
    check_fit(_method(params).motion_adapter(base), tensors, checkpoint)
    _save(params, Role.MOTION, tensors, (checkpoint,), out)


def _method(params: Params) -> DreamVideo:
    return DreamVideo(params.methods[METHOD])


def _save(params: Params, role: Role, tensors: dict[str, Tensor], sources: tuple[Path, ...], out: Path) -> None:
    if out.suffix != ".safetensors":
        raise InputError(f"--out is {str(out)!r}; give a file name that ends in .safetensors")
    tensors = {name: tensor.float() for name, tensor in tensors.items()}  # adapters are always float32
    schema = {"method": METHOD, "kind": role, "base_model": base_model_key(params.base_model)}
    recipe = {"placement": _method(params).options.placement}  # the shapes do not show it
    came_from = {path.name: sha256_file(path) for path in sources}
    save_weights(out, tensors, schema | {"recipe": recipe, "converted_from": came_from})
