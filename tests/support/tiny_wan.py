"""A base model that is no UNet, at a tiny size with random weights: Wan's transformer, flow matching, a VAE that compresses time.

Shapes: B batch, F frames, f latent frames, C latent channels, H W latent size, N tokens, D text width.
"""

import dreamvideo  # noqa: F401 (first, since diffusers looks for torchvision)

# isort: split
import torch
from diffusers import (
    AutoencoderKLWan,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanTransformer3DModel,
)
from torch import Tensor, nn

from dreamvideo.base_models.contract import Architecture, Site, VideoDiffusionModel
from dreamvideo.base_models.noise_schedule import NoiseSchedule, Solver
from dreamvideo.diffusion import stratified_timesteps
from dreamvideo.errors import InputError
from dreamvideo.methods.contract import MotionData
from dreamvideo.params import BaseModelParams, ComputeParams, SolverName
from dreamvideo.roles import Role

TIMESTEPS, SHIFT = 1000, 3.0  # a shift above 1 spends more steps on noisy latents
TEXT_WIDTH, APPEARANCE_WIDTH = 8, 6
# Beside the attention over all places of all frames and the feed-forward (motion), beside the attention to words (subject).
SUBLAYERS = {Role.SUBJECT: ("attn2",), Role.MOTION: ("attn1", "ffn")}
NORM_BEFORE = {"attn1": "norm1", "attn2": "norm2", "ffn": "norm3"}


class FlowMatching(NoiseSchedule):
    """A straight line from latents to noise, (1 - s) x + s n at timestep 1000 s; the network predicts n - x."""

    def timesteps(self, batch: int, generator: torch.Generator, exponent: float = 1.0) -> Tensor:
        share = (stratified_timesteps(batch, TIMESTEPS, generator, exponent) + 1) / TIMESTEPS
        return TIMESTEPS * SHIFT * share / (1 + (SHIFT - 1) * share)

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        share = (timesteps / TIMESTEPS).view(-1, 1, 1, 1, 1)
        return (1 - share) * latents + share * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return noise - latents

    def solver(self, name: SolverName, steps: int) -> Solver:
        flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": SHIFT}
        solver = {
            "ddim": lambda: FlowMatchEulerDiscreteScheduler(shift=SHIFT),  # DDIM's step on a straight line is Euler's
            "dpmsolver++": lambda: DPMSolverMultistepScheduler(**flow),
            "unipc": lambda: UniPCMultistepScheduler(**flow),
        }[name]()
        solver.set_timesteps(steps)
        return solver

    def inverse(self, steps: int) -> Solver:
        return Uphill(self.solver("ddim", steps).sigmas.flip(0))


class Uphill:
    """Euler's steps from latents to noise."""

    def __init__(self, shares: Tensor) -> None:
        self.timesteps, self.lengths = TIMESTEPS * shares[:-1], iter(shares.diff())

    def step(self, prediction: Tensor, timestep: Tensor, latents: Tensor) -> "Uphill":
        self.prev_sample = latents + next(self.lengths) * prediction
        return self


class TinyWan(VideoDiffusionModel):
    frame_size = 16
    num_frames = 5
    latent_shape = (4, 4, 4)
    frame_by_frame = False
    appearance_width = APPEARANCE_WIDTH
    key = "tiny wan"

    def __init__(self, compute: ComputeParams | None = None) -> None:
        params = BaseModelParams(name="wan", weights="wan", offset_noise=0.0)
        super().__init__(params, compute or ComputeParams(device="cpu"))
        torch.manual_seed(0)
        self.place(tiny_denoiser())
        self.vae = tiny_vae().eval().requires_grad_(False)
        self.words = torch.randn(32, TEXT_WIDTH)
        self.schedule = FlowMatching()

    @classmethod
    def architecture(cls, params: BaseModelParams | None = None) -> Architecture:
        with torch.device("meta"):
            denoiser = tiny_denoiser()
        return Architecture(denoiser, {role: wan_sites(denoiser, role) for role in Role}, TEXT_WIDTH, APPEARANCE_WIDTH)

    def adapter_sites(self, role: Role) -> list[Site]:
        return wan_sites(self.denoiser, role)

    def recomputed_blocks(self) -> list[nn.Module]:
        return list(self.denoiser.blocks)

    def compiled_blocks(self) -> list[nn.Module]:
        return [block.ffn for block in self.denoiser.blocks]

    def latent_frames(self, frames: int) -> int:
        if frames % 4 != 1:
            raise InputError(f"params.yaml: data.num_frames is {frames}, must be 1 more than a multiple of 4")
        return 1 + frames // 4

    def encode_text(self, prompts: list[str], placeholder: Tensor | None = None) -> Tensor:
        return torch.stack(
            [torch.stack([self._word(w, placeholder) for w in f"{p}      ".split(" ")[:6]]) for p in prompts]
        )

    def _word(self, word: str, placeholder: Tensor | None) -> Tensor:
        return placeholder if word == "*" and placeholder is not None else self.words[sum(word.encode()) % 32]

    def unread_words(self, prompt: str) -> list[str]:
        return []

    def word_embedding(self, word: str) -> Tensor:
        return self._word(word, None).clone()

    def encode_appearance(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).repeat(1, 2)

    @torch.no_grad()
    def encode_frames(self, frames: Tensor) -> Tensor:
        self.latent_frames(frames.shape[1])
        return self.vae.encode(frames.transpose(1, 2)).latent_dist.mean

    def decode(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents).sample.transpose(1, 2)


def wan_sites(denoiser: WanTransformer3DModel, role: Role) -> list[Site]:
    width = denoiser.config.num_attention_heads * denoiser.config.attention_head_dim
    return [
        Site(f"blocks.{index}", sublayer, NORM_BEFORE[sublayer], width)
        for index in range(denoiser.config.num_layers)
        for sublayer in SUBLAYERS[role]
    ]


def tiny_denoiser() -> WanTransformer3DModel:
    return WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
        text_dim=TEXT_WIDTH, freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=16,
    )  # fmt: skip


def tiny_vae() -> AutoencoderKLWan:
    """Four times shorter, after the first frame, and four times smaller a side."""
    return AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 2], num_res_blocks=1, temperal_downsample=[True, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4, scale_factor_spatial=4,
    )  # fmt: skip


def wan_motion(clips: int = 2) -> MotionData:
    """Clips of eight frames, of which the model sees five."""
    frames = torch.rand(clips, 8, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return MotionData(list(frames), ["a dog is jumping"] * clips, [8.0] * clips, 5, 8.0)
