"""The work as the flows do it: the method's own training, and this project's sampler with both adapters.

Saving and scoring a video are left out. With ``execution.overlap`` they run beside the next video.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.trial import (
    CAPTION,
    PROMPT,
    STAGES,
    Clock,
    Measured,
    few_steps,
    made_up_adapters,
    motion_data,
    seeded,
    subject_data,
    training_outcome,
)
from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.params import Params
from dreamvideo.sample import sample_latents

Tick = Callable[[str], None]  # gets the name of the kind of work whose step ends


def work(base: VideoDiffusionModel, params: Params) -> dict[str, Callable[[], Measured]]:
    """Each stage and a video, by the names that benchmarks/gpu.py measures."""
    stages: dict[str, Callable[[], Measured]] = {stage: partial(_stage, base, params, stage) for stage in STAGES}
    return stages | {"video": partial(_video, base, params)}


def _stage(base: VideoDiffusionModel, params: Params, stage: str) -> Measured:
    clock = Clock(base.device)
    outcome = _trained(base, params, stage, clock.tick)
    flops = _flops(base, lambda tick: _trained(base, params, stage, tick, steps=2), stage)
    return clock.measured(stage, outcome, flops=flops, encoding=clock.once(stage, lambda: _encode(base, params, stage)))


def _trained(
    base: VideoDiffusionModel, params: Params, stage: str, tick: Tick, steps: int | None = None
) -> tuple[Tensor, Tensor]:
    """Train a stage for some steps (None: the measured number) and the other stages for one. Returns the outcome."""
    method = few_steps(params, stage, steps)
    told = lambda name, *_: tick(name.replace(" ", "_"))  # noqa: E731
    if stage == "motion_adapter":
        trained = method.train_motion(base, motion_data(base, params), seeded(), told)
    else:
        trained = method.train_subject(base, subject_data(base), seeded(), told)
    tensors = {name.removeprefix(f"{stage}."): value for name, value in trained.tensors.items()}
    return training_outcome(method, base, stage, trained.losses[stage], tensors)


def _encode(base: VideoDiffusionModel, params: Params, stage: str) -> None:
    """The encoding before the first step of a stage. The identity adapter uses the images of the stage before."""
    if stage == "textual_inversion":
        base.encode_frames(subject_data(base).images[:, None])
    if stage == "motion_adapter":
        clip = motion_data(base, params).clips[0]
        base.encode_text([CAPTION, ""])
        base.encode_frames(clip[None])
        base.encode_appearance(clip)


def _video(base: VideoDiffusionModel, params: Params) -> Measured:
    clock, steps = Clock(base.device), params.sampling.steps
    latents = _sampled(base, params, steps, clock.tick)
    return clock.measured(
        "video",
        (latents,),
        flops=_flops(base, lambda tick: _sampled(base, params, 2, tick), "video"),
        encoding=clock.once("video", lambda: _encode_composition(base)),
        decoding=clock.once("video", lambda: base.decode_latents(latents)),
    )


@torch.no_grad()
def _sampled(base: VideoDiffusionModel, params: Params, steps: int, tick: Tick) -> Tensor:
    """Latents (1, C, F, H, W) of a video with both adapters."""
    method = few_steps(params)
    identity, adapter, motion = made_up_adapters(method, base)
    subject = method.subject_tensors(identity.state_dict(), adapter.state_dict())
    sampling = params.sampling.model_copy(update={"steps": steps})
    with method.composed(base, subject, motion.state_dict(), subject_data(base).images[0]) as encode:
        text = encode(["", PROMPT])
        frames = params.data.num_frames
        return sample_latents(base, text, sampling, seeded(), frames, on_step=lambda _: tick("video"))


def _encode_composition(base: VideoDiffusionModel) -> None:
    base.encode_text(["", CAPTION])
    base.encode_appearance(subject_data(base).images[:1])


def _flops(base: VideoDiffusionModel, run: Callable[[Tick], object], name: str) -> float | None:
    """As :func:`operations`. None for compiled blocks: the counter does not see them, and would leave them uncompiled."""
    return None if base.compiled else operations(run, name)


def operations(run: Callable[[Tick], object], name: str) -> float:
    """Operations of the last step of a kind. In training this includes the backward pass and its recomputation.

    Args:
        run: the work, which tells a tick of two steps or more.
        name: what its steps are called.
    """
    totals: list[int] = []
    with FlopCounterMode(display=False) as counter:
        run(lambda told: totals.append(counter.get_total_flops()) if told == name else None)
    return float(totals[-1] - totals[-2])
