"""The pocket profile's own encoders, with the weights that are shipped."""

from pathlib import Path

import pytest
import torch

from evaluation.encoders import encoders

METRICS = Path(__file__).resolve().parents[3] / "models/pocket/metrics"

pytestmark = pytest.mark.skipif(not METRICS.exists(), reason="needs the weights: dreamvideo data pull")


@pytest.fixture(scope="module")
def pocket():
    return encoders["pocket"](METRICS, torch.device("cpu"))


@pytest.mark.parametrize("encode", ["clip_images", "dino_images"])
def test_an_image_is_embedded_alike_whatever_is_beside_it(pocket, encode):
    size = pocket.frame_size
    images = torch.rand((5, 3, size, size), generator=torch.Generator().manual_seed(0)) * 2 - 1
    together = getattr(pocket, encode)(images)
    one_by_one = torch.cat([getattr(pocket, encode)(image[None]) for image in images])
    torch.testing.assert_close(together, one_by_one, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(5))
    assert not torch.allclose(together[0], together[1], atol=1e-3)
