"""The adapters' sizes on the published base model."""

import pytest
import torch

from dreamvideo.roles import Role
from tests.support.tiny import tiny_unet, unet_adapter


@pytest.fixture(scope="module")
def full_unet():
    """ModelScopeT2V's UNet, without weights."""
    unet_class = type(tiny_unet())
    with torch.device("meta"):
        return unet_class(
            block_out_channels=(320, 640, 1280, 1280),
            layers_per_block=2,
            cross_attention_dim=1024,
            attention_head_dim=64,
        )


def test_adapter_sizes_on_the_full_base_model_are_the_published_ones(full_unet):
    """The paper counts in units of 2^20, rounded down: 11M and 74M, together 85M for both with the embedding."""
    with torch.device("meta"):
        identity = unet_adapter(full_unet, Role.SUBJECT)
        motion = unet_adapter(full_unet, Role.MOTION, appearance_width=1024)
    full, *sizes = [sum(p.numel() for p in module.parameters()) for module in (full_unet, identity, motion)]
    assert full == 1_411_233_860 and sizes == [12_409_120, 77_966_496]
    assert [size // 2**20 for size in sizes] == [11, 74]
    assert len(identity.bottlenecks) == 16 and len(motion.bottlenecks) == 3 * 17
