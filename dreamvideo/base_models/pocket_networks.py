"""The networks of the pocket profile: published architectures at a tiny size.

Frames are 64 x 64 pixels, clips 8 frames at 8 fps, latents 4 x 16 x 16 a frame.
"""

from types import MethodType

import open_clip
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet3DConditionModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from dreamvideo.pocket_world.tokenizer import CONTEXT_LENGTH, VOCABULARY_SIZE

FRAME_SIZE = 64
NUM_FRAMES = 8
LATENT_SIZE = 16
TEXT_WIDTH = 128


def build_unet() -> UNet3DConditionModel:
    """The denoiser.

    Two levels, since many small operations cost a CPU more than few larger ones; and the transformer that the class puts
    before its first block has two heads instead of eight, which would take a sixth of the time. Dropout in the temporal
    convolutions only costs at this size.
    """
    widths, head_width, groups = (32, 80), 16, 4
    unet = UNet3DConditionModel(
        sample_size=LATENT_SIZE,
        block_out_channels=widths,
        down_block_types=("DownBlock3D", "CrossAttnDownBlock3D"),
        up_block_types=("CrossAttnUpBlock3D", "UpBlock3D"),
        layers_per_block=1,
        norm_num_groups=groups,
        attention_head_dim=head_width,
        cross_attention_dim=TEXT_WIDTH,
    )
    unet.transformer_in = TransformerTemporalModel(2, head_width, in_channels=widths[0], norm_num_groups=groups)
    for dropout in (module for module in unet.modules() if isinstance(module, nn.Dropout)):
        dropout.p = 0.0
    _flatten_temporal_convolutions(unet)
    return unet


def _flatten_temporal_convolutions(unet: nn.Module) -> None:
    """Compute every 3 x 1 x 1 convolution over (F, H, W) as a 3 x 1 one over (F, H * W).

    The result is the same to the last bit, and a fifth of the UNet's time on CPUs is saved: torch has a fast path for
    the second and not for the first.
    """
    for module in (part for part in unet.modules() if isinstance(part, nn.Conv3d)):
        assert module.kernel_size == (3, 1, 1)
        vars(module)["forward"] = MethodType(_convolve, module)


def _convolve(module: nn.Conv3d, x: Tensor) -> Tensor:
    flat = functional.conv2d(x.flatten(3), module.weight.squeeze(-1), module.bias, padding=(1, 0))
    return flat.unflatten(3, x.shape[3:])


def build_vae() -> AutoencoderKL:
    """The latent autoencoder, four times smaller a side."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=FRAME_SIZE,
        scaling_factor=1.0,
        # Convolutions alone, so that it can learn from crops.
        mid_block_add_attention=False,
    )


def build_clip() -> open_clip.CLIP:
    """A small CLIP; one for the base, one more for the metrics.

    Its image tower is CLIP's residual network: of so few images it learns several times more than a transformer does.
    """
    return open_clip.CLIP(
        embed_dim=TEXT_WIDTH,
        vision_cfg={"image_size": FRAME_SIZE, "width": 16, "head_width": 32, "layers": (1, 1, 1, 1)},
        text_cfg={
            "context_length": CONTEXT_LENGTH,
            "vocab_size": VOCABULARY_SIZE,
            "width": TEXT_WIDTH,
            "heads": 4,
            "layers": 2,
        },
    )


class TextTower(nn.Module):
    """The text half of a CLIP, giving one embedding per token for cross-attention."""

    def __init__(self, clip: open_clip.CLIP) -> None:
        super().__init__()
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.transformer = clip.transformer
        self.ln_final = clip.ln_final
        self.register_buffer("attn_mask", clip.attn_mask, persistent=False)

    def forward(self, ids: Tensor, replaced: Tensor | None = None, replacement: Tensor | None = None) -> Tensor:
        """Embed token ids.

        Args:
            ids: token ids (B, N).
            replaced: where a learnt embedding takes the place of the token's own, booleans (B, N).
            replacement: that embedding (D,).

        Returns:
            Token embeddings (B, N, D).
        """
        embedded = self.token_embedding(ids)
        if replaced is not None and replacement is not None:
            embedded = torch.where(replaced[..., None], replacement, embedded)
        return self.ln_final(self.transformer(embedded + self.positional_embedding, attn_mask=self.attn_mask))


def build_text_tower() -> TextTower:
    """The base model's text encoder."""
    return TextTower(build_clip())


def build_dino() -> VisionTransformer:
    """A small vision transformer to be trained by self-distillation; its output is the CLS token (B, 96)."""
    return VisionTransformer(
        img_size=FRAME_SIZE, patch_size=8, embed_dim=96, depth=4, num_heads=3, num_classes=0, global_pool="token"
    )


def build_scheduler() -> DDIMScheduler:
    """v-prediction with zero terminal signal and trailing timesteps."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.0120,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
