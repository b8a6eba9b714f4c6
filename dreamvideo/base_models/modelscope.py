"""ModelScopeT2V (Wang et al. 2023) in diffusers' layout: the base model of the paper.

Weights are a folder with ``unet``, ``vae``, ``text_encoder``, ``tokenizer`` and ``scheduler``; the image encoder of
appearance guidance, OpenCLIP ViT-H/14, is a folder of its own with ``open_clip_config.json`` and
``open_clip_model.safetensors``.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet3DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from dreamvideo.base_models.contract import Architecture, base_models, check_read_once
from dreamvideo.base_models.loading import (
    base_model_key,
    folder_at_hand,
    load_open_clip,
    load_pretrained,
    load_weightless,
    local_folder,
    read_open_clip_config,
    without_weights,
)
from dreamvideo.base_models.unet3d import DiffusionSchedule, UNet3DModel, describe_unet
from dreamvideo.dataset.prompts import PLACEHOLDER
from dreamvideo.errors import InputError
from dreamvideo.memory import in_chunks
from dreamvideo.params import BaseModelParams, ComputeParams

# The published configuration. It counts parameters without weights.
PUBLISHED = {
    "sample_size": 32,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 1024,
    "attention_head_dim": 64,
}
APPEARANCE_WIDTH = 1024  # of OpenCLIP ViT-H/14
DROPOUT = 0.1  # of residual blocks in training, as in the released code
FRAMES_AT_ONCE = 8  # through the VAE and the image encoder: more gains no speed and costs memory


@base_models.register("modelscope")
class ModelScope(UNet3DModel):
    """UNet3DConditionModel, AutoencoderKL and the text tower of OpenCLIP ViT-H/14, up to its penultimate layer."""

    vae: AutoencoderKL
    text: CLIPTextModel
    visual: VisionTransformer
    num_frames = 32  # Sec. 4.1

    def __init__(self, params: BaseModelParams, compute: ComputeParams) -> None:
        super().__init__(params, compute)
        folder = local_folder(params.weights)
        if params.appearance is None:
            raise InputError(
                "params.yaml: base_model.appearance is missing; give the folder of OpenCLIP ViT-H/14, "
                "which turns images into appearance guidance"
            )
        appearance = local_folder(params.appearance)
        self.key = base_model_key(params)
        clip, preprocess = load_open_clip(appearance)
        unet = load_pretrained(UNet3DConditionModel, folder / "unet")
        vae = load_pretrained(AutoencoderKL, folder / "vae")
        text = load_pretrained(CLIPTextModel, folder / "text_encoder")
        tokenizer = load_weightless(CLIPTokenizer, folder / "tokenizer", "tokenizer_config.json")
        scheduler = load_weightless(DDIMScheduler, folder / "scheduler", "scheduler_config.json", clip_sample=False)
        _check_parts(folder, unet, vae, text, tokenizer)
        self.assemble(unet, vae, text, clip.visual, tokenizer, scheduler, preprocess["mean"], preprocess["std"])

    def assemble(
        self,
        unet: UNet3DConditionModel,
        vae: AutoencoderKL,
        text: CLIPTextModel,
        visual: VisionTransformer,
        tokenizer: CLIPTokenizer,
        scheduler: DDIMScheduler,
        image_mean: Sequence[float] = OPENAI_DATASET_MEAN,
        image_std: Sequence[float] = OPENAI_DATASET_STD,
    ) -> None:
        """Take the parts to the device, freeze them, and read the sizes from them."""
        for block in (module for module in unet.modules() if isinstance(module, ResnetBlock2D)):
            block.dropout.p = DROPOUT  # diffusers gives it to temporal convolutions alone
        self.place(unet)
        self.vae, self.text, self.visual = (
            part.eval().requires_grad_(False).to(self.device) for part in (vae, text, visual)
        )
        self.tokenizer, self.schedule = tokenizer, DiffusionSchedule(scheduler)
        self.image_mean, self.image_std = (
            torch.tensor(values, device=self.device)[:, None, None] for values in (image_mean, image_std)
        )
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        side = unet.config.sample_size
        self.frame_size = side * factor
        self.latent_shape = (unet.config.in_channels, side, side)
        self.appearance_width = visual.output_dim

    @classmethod
    def architecture(cls, params: BaseModelParams) -> Architecture:
        """The UNet that the folder's configuration describes, or the published one if the folder is not here.

        Raises:
            InputError: a configuration is damaged or of something else, or a commit of the hub is not pinned.
        """
        folder = folder_at_hand(params.weights)
        if folder and (folder / "unet" / "config.json").is_file():
            unet, published = without_weights(UNet3DConditionModel, folder / "unet"), False
        else:
            with torch.device("meta"):
                unet, published = UNet3DConditionModel(**PUBLISHED), True
        width, appearance = APPEARANCE_WIDTH, params.appearance and folder_at_hand(params.appearance)
        if appearance and (appearance / "open_clip_config.json").is_file():
            width = read_open_clip_config(appearance)["model_cfg"]["embed_dim"]
        return describe_unet(unet, width, published)

    def encode_text(self, prompts: list[str], placeholder: Tensor | None = None) -> Tensor:
        """Token embeddings (B, 77, D)."""
        if placeholder is not None:
            # CLIP's tokenizer joins neighbouring signs to one token. "*," would not be the placeholder.
            prompts = [prompt.replace(PLACEHOLDER, f" {PLACEHOLDER} ") for prompt in prompts]
        ids = self.tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        if placeholder is not None:
            check_read_once(prompts, ids == self._placeholder_id())
        ids = ids.to(self.device)
        with torch.set_grad_enabled(placeholder is not None and torch.is_grad_enabled()):
            if placeholder is None:
                return self.text(ids).last_hidden_state
            with _replaced(self.text.get_input_embeddings(), self._placeholder_id(), placeholder):
                return self.text(ids).last_hidden_state

    def unread_words(self, prompt: str) -> list[str]:
        """The words beyond the 77 tokens. The model reads all others."""
        words, limit = prompt.split(), self.tokenizer.model_max_length
        for count in range(len(words), 0, -1):
            if len(self.tokenizer(" ".join(words[:count]), verbose=False).input_ids) <= limit:
                return words[count:]
        return words

    def word_embedding(self, word: str) -> Tensor:
        """The mean embedding (D,) of the word's tokens: "stuffed animal" has two."""
        ids = self.tokenizer(word, add_special_tokens=False, return_tensors="pt").input_ids[0].to(self.device)
        return self.text.get_input_embeddings()(ids).mean(0).detach()

    @torch.no_grad()
    def encode_appearance(self, images: Tensor) -> Tensor:
        """Image embeddings (B, C') as ``encode_image`` gives them, not normalised."""

        def embed(chunk: Tensor) -> Tensor:
            size = self.visual.image_size
            sized = functional.interpolate(chunk.to(self.device), size, mode="bicubic", antialias=True)
            return self.visual(((sized.clamp(-1, 1) + 1) / 2 - self.image_mean) / self.image_std)

        return in_chunks(embed, images, FRAMES_AT_ONCE)

    @torch.no_grad()
    def encode_frames(self, frames: Tensor) -> Tensor:
        """Latents (B, C, F, H, W): the mean of the VAE's posterior, scaled."""
        encode = lambda chunk: self.vae.encode(chunk.to(self.device)).latent_dist.mean  # noqa: E731
        latents = in_chunks(encode, frames.flatten(0, 1), FRAMES_AT_ONCE)
        return (latents * self.vae.config.scaling_factor).unflatten(0, frames.shape[:2]).transpose(1, 2)

    def decode(self, latents: Tensor) -> Tensor:
        """Clips (B, F, 3, S, S)."""
        batch, _, frames = latents.shape[:3]
        singly = (latents / self.vae.config.scaling_factor).transpose(1, 2).flatten(0, 1)
        decoded = in_chunks(lambda chunk: self.vae.decode(chunk).sample, singly, FRAMES_AT_ONCE)
        return decoded.unflatten(0, (batch, frames))

    def _placeholder_id(self) -> int:
        return self.tokenizer(PLACEHOLDER, add_special_tokens=False).input_ids[0]


def _check_parts(
    folder: Path, unet: UNet3DConditionModel, vae: AutoencoderKL, text: CLIPTextModel, tokenizer: CLIPTokenizer
) -> None:
    """Refuse parts of different models. Each of them loads, but they do not work together.

    Raises:
        InputError: two sizes that must be equal are not.
    """
    for one, first, other, second in (
        (
            "text_encoder's hidden_size",
            text.config.hidden_size,
            "unet's cross_attention_dim",
            unet.config.cross_attention_dim,
        ),
        ("vae's latent_channels", vae.config.latent_channels, "unet's in_channels", unet.config.in_channels),
        ("tokenizer's vocabulary", len(tokenizer), "text_encoder's vocab_size", text.config.vocab_size),
    ):
        if first != second:
            raise InputError(
                f"{folder}: the {one} is {first}, but the {other} is {second}; take all parts from one base model"
            )


@contextmanager
def _replaced(table: nn.Embedding, token: int, embedding: Tensor) -> Iterator[None]:
    """Within the block, the table gives ``embedding`` (D,) for a token."""

    def replace(_module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        return torch.where((args[0] == token)[..., None], embedding.to(output), output)

    handle = table.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
