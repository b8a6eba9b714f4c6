"""A base in ModelScopeT2V's folder layout at a tiny size, with random weights."""

import dreamvideo  # noqa: F401 (first, since diffusers looks for torchvision)

# isort: split
import json
from pathlib import Path

import open_clip
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet3DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from dreamvideo.params import BaseModelParams, ComputeParams

CPU = ComputeParams(device="cpu")
WIDTH = 24
APPEARANCE = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 20, "layers": 1, "width": 16, "patch_size": 10, "head_width": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 32, "width": 8, "heads": 1, "layers": 1},
}


def write_tiny_modelscope(
    folder: Path, unet: UNet3DConditionModel | None = None, width: int = WIDTH, tokenizer: CLIPTokenizer | None = None
) -> BaseModelParams:
    """Write the base and its image encoder; returns the parameters that load them."""
    torch.manual_seed(0)
    base, appearance = folder / "base", folder / "appearance"
    (unet or tiny_unet()).save_pretrained(base / "unet")
    tiny_vae().save_pretrained(base / "vae")
    tokenizer = tokenizer or tiny_tokenizer()
    tokenizer.save_pretrained(base / "tokenizer")
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    CLIPTextModel(text).save_pretrained(base / "text_encoder")
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", set_alpha_to_one=False, steps_offset=1
    ).save_pretrained(base / "scheduler")
    appearance.mkdir()
    clip = APPEARANCE | {"embed_dim": width}
    (appearance / "open_clip_config.json").write_text(json.dumps({"model_cfg": clip, "preprocess_cfg": {}}))
    save_file(open_clip.CLIP(**clip).state_dict(), appearance / "open_clip_model.safetensors")
    return BaseModelParams(name="modelscope", weights=base, appearance=appearance, offset_noise=0.1)


def tiny_unet() -> UNet3DConditionModel:
    """The published structure, narrow and with two levels."""
    return UNet3DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1,
        attention_head_dim=8,
        cross_attention_dim=WIDTH,
    )


def tiny_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=16,
        scaling_factor=0.18215,
    )


def tiny_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer with a vocabulary of single characters."""
    characters = "abcdefghijklmnopqrstuvwxyz*"
    tokens = ["<|startoftext|>", "<|endoftext|>", *characters, *(character + "</w>" for character in characters)]
    return CLIPTokenizer(vocab={token: index for index, token in enumerate(tokens)}, merges=[], model_max_length=77)
