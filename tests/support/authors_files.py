"""The authors' files as they publish them, of a tiny network, beside a base in diffusers' layout."""

import dreamvideo  # noqa: F401 (first, since diffusers looks for torchvision)

# isort: split
from pathlib import Path

import torch
from diffusers import UNet3DConditionModel

from dreamvideo.params import BaseModelParams
from tests.support.authors_network import CONTEXT, AuthorsUNet
from tests.support.tiny_modelscope import write_tiny_modelscope

DIM, MULTIPLIERS, LAYERS = 64, (1, 2, 2, 2), 1
SPATIAL, TEMPORAL = ("cross_attn_adapter",), ("attn_adapter", "cross_attn_adapter", "ff_adapter")


def write_published(folder: Path) -> tuple[AuthorsUNet, BaseModelParams]:
    """Write base.pth, identity.pth, motion.pth and text.pt; returns their network, and the base in diffusers' layout."""
    torch.manual_seed(0)
    theirs = AuthorsUNet(DIM, MULTIPLIERS, LAYERS, SPATIAL, TEMPORAL).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    state = theirs.state_dict()
    adapters = {name: value for name, value in state.items() if "_adapter." in name}
    torch.save({"state_dict": {n: v for n, v in state.items() if n not in adapters}, "step": 1}, folder / "base.pth")
    for kind, belongs in (("identity", lambda n: not _is_motion(n)), ("motion", _is_motion)):
        part = {name: value for name, value in adapters.items() if belongs(name)}
        torch.save({"state_dict": part, "step": 500}, folder / f"{kind}.pth")
    named = torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.randn(1, CONTEXT))})
    torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": named}, folder / "text.pt")
    unet = UNet3DConditionModel(
        sample_size=8, block_out_channels=tuple(DIM * m for m in MULTIPLIERS), layers_per_block=LAYERS,
        cross_attention_dim=CONTEXT, attention_head_dim=64,
    )  # fmt: skip
    return theirs, write_tiny_modelscope(folder, unet, CONTEXT)


def _is_motion(name: str) -> bool:
    block = name.split(".transformer_blocks")[0]
    return block == "input_blocks.0.1" or block.endswith(".2")
