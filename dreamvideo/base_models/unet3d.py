"""What base models with diffusers' UNet3DConditionModel share: their transformers, their blocks and their noise schedule.

Shapes: B batch, F frames, N tokens, D inner width of a transformer block, H W latent size.
"""

from typing import Any

import torch
from diffusers import (
    DDIMInverseScheduler,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    UNet3DConditionModel,
    UniPCMultistepScheduler,
)
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import Tensor, nn

from dreamvideo.base_models.contract import Architecture, Site, VideoDiffusionModel
from dreamvideo.base_models.noise_schedule import NoiseSchedule, Solver
from dreamvideo.diffusion import stratified_timesteps, training_target
from dreamvideo.params import SolverName
from dreamvideo.roles import Role

# Where DreamVideo's adapters go (Sec. 3.3). Spatial transformers see (B * F, N, D), temporal ones (B * H * W, F, D).
_TRANSFORMER = {Role.SUBJECT: Transformer2DModel, Role.MOTION: TransformerTemporalModel}
_SUBLAYERS = {Role.SUBJECT: ("attn2",), Role.MOTION: ("attn1", "attn2", "ff")}
_NORM_BEFORE = {"attn1": "norm1", "attn2": "norm2", "ff": "norm3"}  # in diffusers' BasicTransformerBlock
# All take v-prediction, zero terminal signal and the spacing of the timesteps from a configuration of DDIM.
_SOLVERS = {"ddim": DDIMScheduler, "dpmsolver++": DPMSolverMultistepScheduler, "unipc": UniPCMultistepScheduler}


class UNet3DModel(VideoDiffusionModel):
    """A base model whose denoiser is a UNet3DConditionModel."""

    def adapter_sites(self, role: Role) -> list[Site]:
        """Beside attentions and feed-forwards of its transformers."""
        return unet_sites(self.denoiser, role)

    def recomputed_blocks(self) -> list[nn.Module]:
        """Every residual block and transformer: diffusers declares no gradient checkpointing for this class."""
        kinds = (ResnetBlock2D, TemporalConvLayer, Transformer2DModel, TransformerTemporalModel)
        return [module for module in self.denoiser.modules() if isinstance(module, kinds)]

    def compiled_blocks(self) -> list[nn.Module]:
        """Convolutional blocks and feed-forwards; the rest are matrix products, fused attention, and adapters' hooks."""
        kinds = (ResnetBlock2D, TemporalConvLayer, FeedForward)
        return [module for module in self.denoiser.modules() if isinstance(module, kinds)]


def unet_sites(unet: UNet3DConditionModel, role: Role) -> list[Site]:
    """The cross-attention of every spatial transformer (subject), or all sublayers of every temporal one (motion)."""
    sites = []
    for name, module in unet.named_modules():
        if isinstance(module, _TRANSFORMER[role]):
            block, width = f"{name}.transformer_blocks.0", module.transformer_blocks[0].attn1.query_dim
            sites += [Site(block, sublayer, _NORM_BEFORE[sublayer], width) for sublayer in _SUBLAYERS[role]]
    return sites


def describe_unet(unet: UNet3DConditionModel, appearance_width: int, published: bool = False) -> Architecture:
    """The architecture around a UNet, which may be on the meta device."""
    sites = {role: unet_sites(unet, role) for role in Role}
    return Architecture(unet, sites, unet.config.cross_attention_dim, appearance_width, published)


class DiffusionSchedule(NoiseSchedule):
    """The discrete diffusion of a DDIM configuration; the network predicts the noise, or the velocity."""

    def __init__(self, scheduler: DDIMScheduler) -> None:
        self.ddim = scheduler

    def timesteps(self, batch: int, generator: torch.Generator, exponent: float = 1.0) -> Tensor:
        """One timestep in each of B equal strata."""
        return stratified_timesteps(batch, self.ddim.config.num_train_timesteps, generator, exponent)

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """As DDIM adds noise."""
        return self.ddim.add_noise(latents, noise, timesteps)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The noise, or the velocity."""
        return training_target(self.ddim, latents, noise, timesteps)

    def solver(self, name: SolverName, steps: int) -> Solver:
        """DDIM without fresh noise (eta 0), or a multistep solver of order 2; all end without noise."""
        return self._ready(_SOLVERS[name], steps)

    def inverse(self, steps: int) -> Solver:
        """DDIM backwards."""
        return self._ready(DDIMInverseScheduler, steps)

    def _ready(self, kind: type[Any], steps: int) -> Solver:
        solver = kind.from_config(self.ddim.config)
        solver.set_timesteps(steps)
        return solver
