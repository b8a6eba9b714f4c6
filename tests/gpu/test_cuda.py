"""Every method on a GPU, from training to a video file, on tiny bases with random weights."""

import pytest
import torch

from dreamvideo.base_models import load_base_model
from dreamvideo.base_models import pocket_networks as networks
from dreamvideo.dataset.clips import read_clip, write_clip
from dreamvideo.methods import methods
from dreamvideo.methods.contract import MotionData, SubjectData
from dreamvideo.params import BaseModelParams, ComputeParams, SamplingParams
from dreamvideo.sample import sample_latents
from dreamvideo.weights import read_weights, save_weights
from flows.execution.adapters import to_bytes
from tests.support.method_trials import build, ignore, seeded
from tests.support.tiny_modelscope import write_tiny_modelscope

DEVICE = "cuda"  # "cpu" tries the tests themselves where there is no GPU
FRAMES, FPS = 4, 8
SAMPLING = SamplingParams(steps=2, guidance_scale=4.0, negative_prompt="")

pytestmark = pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="torch sees no GPU here")


def write_pocket(folder):
    torch.manual_seed(0)
    for name in ("unet", "vae", "text_tower", "clip"):
        component = name.removesuffix("_tower")
        state = getattr(networks, f"build_{name}")().state_dict()
        save_weights(folder / f"{component}.safetensors", state, {"component": component})
    return BaseModelParams(name="pocket", weights=folder, offset_noise=0.1)


@pytest.fixture(scope="module", params=["modelscope", "pocket"])
def base_params(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return {"modelscope": write_tiny_modelscope, "pocket": write_pocket}[request.param](folder)


@pytest.fixture(params=[False, True], ids=["kept", "checkpointed"])
def base(request, base_params):
    compute = ComputeParams(device=DEVICE, precision="bfloat16", gradient_checkpointing=request.param)
    return load_base_model(base_params, compute)


def pixels(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=seeded()) * 2 - 1


def train(method, base):
    """What a subject and a motion leave, on data as it comes from files: on the CPU."""
    side = base.frame_size
    masks = torch.zeros(3, 1, side, side)
    masks[:, :, : side // 2] = 1
    clip = pixels(FRAMES + 2, 3, side, side)
    subject = SubjectData("dog", pixels(3, 3, side, side), masks)
    motion = MotionData([clip, -clip], ["a dog is jumping"] * 2, [FPS] * 2, FRAMES, FPS)
    return (
        method.train_subject(base, subject, seeded(), ignore),
        method.train_motion(base, motion, seeded(), ignore),
    )


def generate(method, base, subject, motion) -> torch.Tensor:
    """A video (F, 3, S, S) as bytes, on the CPU."""
    reference = pixels(3, base.frame_size, base.frame_size)
    with method.composed(base, subject, motion, reference) as encode, torch.no_grad():
        latents = sample_latents(base, encode(["", "a * is jumping"]), SAMPLING, seeded(), FRAMES)
        assert latents.isfinite().all()
        video = base.decode_latents(latents)[0]
    assert latents.device.type == video.device.type == DEVICE
    return to_bytes(video).cpu()


@pytest.mark.parametrize("name", list(methods))
def test_a_method_trains_saves_loads_composes_and_makes_a_video(base, name, tmp_path):
    assert {(p.device.type, p.dtype) for p in base.denoiser.parameters()} == {(DEVICE, torch.bfloat16)}
    method, loaded = build(name), []
    for kind, trained in zip(("identity", "motion"), train(method, base), strict=True):
        assert all(torch.tensor(curve).isfinite().all() for curve in trained.losses.values())
        path = tmp_path / f"{kind}.safetensors"
        save_weights(path, trained.tensors, {"kind": kind})
        tensors, _ = read_weights(path, kind=kind)
        assert all(torch.equal(tensors[key], value.cpu()) for key, value in trained.tensors.items())
        loaded.append(tensors)
    video = generate(method, base, *loaded)
    write_clip(tmp_path / "video.mp4", video, FPS)
    frames, fps = read_clip(tmp_path / "video.mp4")
    assert frames.shape == video.shape == (FRAMES, 3, base.frame_size, base.frame_size) and fps == FPS
    assert not torch.equal(video, generate(method, base, None, None)), "what was loaded acts"
