"""Convert the weights that DreamVideo's authors published to this project's names.

Their UNet is ModelScopeT2V in its original layout (``input_blocks``, ``middle_block``, ``output_blocks``); diffusers'
UNet3DConditionModel is the same network under other names.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.serialization import safe_globals

from dreamvideo.errors import InputError
from dreamvideo.roles import Role

_RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_SUBLAYERS = {"attn_adapter": "attn1", "cross_attn_adapter": "attn2", "ff_adapter": "ff"}
_LINEARS = {"down_linear": "down", "up_linear": "up", "condition_linear": "condition"}


def read_checkpoint(path: Path) -> Mapping:
    """The content of one of their ``.pth`` files. Only plain tensors are read.

    Raises:
        InputError: the file is absent or truncated, or holds more than tensors.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a checkpoint of the authors")
    try:
        with safe_globals([nn.ParameterDict]):  # their textual identity is one; it maps names to tensors
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds more than plain tensors, or is none of torch's files; fetch it anew, or export its state_dict"
        ) from error
    except Exception as error:  # an incomplete file raises nearly any error
        raise InputError(f"{path} is truncated or damaged; fetch it anew") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds a {type(content).__name__}, must hold tensors by name; give another file")
    return content


def convert_unet(state_dict: Mapping, config: Mapping) -> dict[str, Tensor]:
    """The base model's UNet.

    Args:
        state_dict: the original tensors by name, bare or under the key ``state_dict``.
        config: of the UNet3DConditionModel that is to load them; ``block_out_channels`` and ``layers_per_block`` count.

    Returns:
        Tensors by the names of UNet3DConditionModel.

    Raises:
        InputError: a tensor that such a UNet does not have, or no tensor at all.
    """
    places = _places(config["layers_per_block"], len(config["block_out_channels"]))
    tensors, converted = _tensors(state_dict), {}
    if not tensors:
        raise InputError("the checkpoint holds no tensors by name; give the base model's own file")
    for name, tensor in tensors.items():
        if "_adapter." in name:
            raise InputError(f"the checkpoint holds {name!r}, which is an adapter's; give the base model's own file")
        place, rest = _split(name, places)
        new = ".".join((places[place], *rest))
        # The projections of the temporal transformers are convolutions over one frame there, and linear layers here.
        pointwise = rest[:1] in (["proj_in"], ["proj_out"]) and tensor.ndim == 3
        converted[new] = tensor.squeeze(-1) if pointwise else tensor
    return converted


def convert_identity(state_dict: Mapping) -> dict[str, Tensor]:
    """An identity adapter's file, to the names of :func:`dreamvideo.adapters.identity_adapter`.

    Raises:
        InputError: the file holds something else.
    """
    return _convert_adapter(state_dict, Role.SUBJECT, lambda place: ".attentions." in place)


def convert_motion(state_dict: Mapping) -> dict[str, Tensor]:
    """A motion adapter's file, to the names of :func:`dreamvideo.adapters.motion_adapter`.

    Raises:
        InputError: the file holds something else.
    """
    return _convert_adapter(
        state_dict, Role.MOTION, lambda place: "temp_attentions" in place or place == "transformer_in"
    )


def convert_textual_identity(content: Mapping) -> dict[str, Tensor]:
    """A textual identity's file, to the names of :class:`dreamvideo.textual_inversion.TextualIdentity`.

    Raises:
        InputError: the file holds something else, or several token embeddings.
    """
    named = content.get("string_to_param")
    if isinstance(named, nn.ParameterDict):
        named = dict(named.named_parameters())  # get() fails for one that torch before 1.12 saved: it lacks the keys
    embedding = named.get("*") if isinstance(named, Mapping) else None
    if not isinstance(embedding, Tensor) or embedding.ndim == 0 or embedding.numel() != embedding.shape[-1]:
        raise InputError("this is no textual identity: it has no single embedding for '*'; give another file")
    return {"embedding": embedding.detach().flatten()}


def _convert_adapter(state_dict: Mapping, role: Role, belongs) -> dict[str, Tensor]:
    tensors = {name: tensor for name, tensor in _tensors(state_dict).items() if "_adapter." in name}
    if not tensors:
        raise InputError(f"this is no {role} adapter: it has no tensor with '_adapter.' in its name; give another file")
    places, converted = _places(*_shape_of_unet(tensors)), {}
    for name, tensor in tensors.items():
        place, rest = _split(name, places)
        if not belongs(places[place]):
            raise InputError(f"this is no {role} adapter, since it holds {name!r}; import it as the other kind")
        if len(rest) < 3 or rest[-3] not in _SUBLAYERS or rest[-2] not in _LINEARS:
            raise InputError(f"this is no {role} adapter of DreamVideo, since it holds {name!r}; give another file")
        *block, sublayer, linear, parameter = rest
        where = "/".join((*places[place].split("."), *block, _SUBLAYERS[sublayer]))
        converted[f"bottlenecks.{where}.{_LINEARS[linear]}.{parameter}"] = tensor
    return converted


def _tensors(content: Mapping) -> dict[str, Tensor]:
    """The tensors of a checkpoint, without the prefix of data-parallel training. They may lie at any level.

    Raises:
        InputError: it holds something else there.
    """
    content = content.get("state_dict", content)
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise InputError("the checkpoint's state_dict does not hold tensors by name; give another file")
    return {name.removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)}


def _split(name: str, places: Mapping[str, str]) -> tuple[str, list[str]]:
    """Split a tensor's name into the longest known place and the rest."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        place = ".".join(parts[:length])
        if place in places:
            return place, parts[length:]
    raise InputError(f"the checkpoint holds {name!r}, which ModelScopeT2V's UNet does not have; give another file")


def _places(layers: int, levels: int) -> dict[str, str]:
    """Original module names to diffusers' ones, for ``layers`` residual blocks in each of ``levels`` levels."""
    places = {
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in",
        "input_blocks.0.1": "transformer_in",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
    }
    for level in range(levels):
        down, up = f"down_blocks.{level}", f"up_blocks.{level}"
        for layer in range(layers):
            places |= _stack(f"input_blocks.{1 + level * (layers + 1) + layer}", down, layer)
        places[f"input_blocks.{(level + 1) * (layers + 1)}.op"] = f"{down}.downsamplers.0.conv"
        for layer in range(layers + 1):
            places |= _stack(f"output_blocks.{level * (layers + 1) + layer}", up, layer)
        for index in (1, 3):  # after the residual block, or after its attentions if it has them
            last = f"output_blocks.{level * (layers + 1) + layers}"
            places[f"{last}.{index}.conv"] = f"{up}.upsamplers.0.conv"
    return places | _stack("middle_block", "mid_block", 0) | _residual("middle_block.3", "mid_block", 1)


def _stack(old: str, new: str, layer: int) -> dict[str, str]:
    """A residual block with the attentions that may follow it."""
    attentions = {f"{old}.1": f"{new}.attentions.{layer}", f"{old}.2": f"{new}.temp_attentions.{layer}"}
    return _residual(f"{old}.0", new, layer) | attentions


def _residual(old: str, new: str, layer: int) -> dict[str, str]:
    places = {f"{old}.{their}": f"{new}.resnets.{layer}.{our}" for their, our in _RESIDUAL.items()}
    return places | {f"{old}.temopral_conv": f"{new}.temp_convs.{layer}"}  # the spelling of the checkpoints


def _shape_of_unet(tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """The numbers of residual blocks a level and of levels, from the places of the adapters."""
    numbers: dict[str, set[int]] = {"input_blocks": set(), "output_blocks": set()}
    for name in tensors:
        part, number = name.split(".")[:2]
        if part in numbers and re.fullmatch("[0-9]{1,2}", number):
            numbers[part].add(int(number))
    layers = 1
    while layers + 1 in numbers["input_blocks"]:  # the place after the last block of a level is its downsampler
        layers += 1
    return layers, (max(numbers["output_blocks"], default=0) + 1) // (layers + 1)
