"""ModelScopeT2V at its published size with random weights: the same amount of work without the published files."""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet3DConditionModel
from open_clip import create_model
from open_clip.tokenizer import SimpleTokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from dreamvideo.base_models.modelscope import PUBLISHED, ModelScope
from dreamvideo.params import BaseModelParams, ComputeParams

LEVELS = 4


def random_modelscope(params: BaseModelParams, compute: ComputeParams) -> ModelScope:
    """The untrained base model of the paper. The same seed gives the same weights."""
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=49408, hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16,
        hidden_act="gelu", projection_dim=512,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * LEVELS,
        up_block_types=("UpDecoderBlock2D",) * LEVELS, layers_per_block=2, latent_channels=4, scaling_factor=0.18215,
        sample_size=256,
    )  # fmt: skip
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip
    base = ModelScope.__new__(ModelScope)
    super(ModelScope, base).__init__(params, compute)
    clip = create_model("ViT-H-14", load_weights=False, device=base.device)
    base.assemble(UNet3DConditionModel(**PUBLISHED), vae, CLIPTextModel(text), clip.visual, clip_tokenizer(), scheduler)
    base.key = "random"
    return base


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer, from the vocabulary in open_clip, which has other names for start and end."""
    theirs = SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(token, token): index for token, index in theirs.encoder.items()}
    return CLIPTokenizer(vocab=vocabulary, merges=list(theirs.bpe_ranks), model_max_length=77)
