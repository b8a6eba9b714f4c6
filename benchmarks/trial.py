"""The common parts of both versions of the work: random data, a clock, and the measured figures.

Shapes: S pixels a side.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from dreamvideo.adapters import Adapter
from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.methods.contract import MotionData, SubjectData
from dreamvideo.methods.dreamvideo import DreamVideo
from dreamvideo.params import Params
from dreamvideo.textual_inversion import TextualIdentity

STEPS = 8  # measured of each stage, after WARM_UP
WARM_UP = 2
STAGES = ("textual_inversion", "identity_adapter", "motion_adapter")
IMAGES, CLASS_WORD, CAPTION = 5, "dog", "a dog is running"
PROMPT = "a * is running"


@dataclass
class Measured:
    """The figures of one kind of work: its seconds, its operations, its memory and its outcome."""

    seconds: float  # a step
    flops: float | None = None  # of a step, with the recomputation of gradient checkpointing
    peak_bytes: int | None = None  # on a GPU, over the steps and the work that is done once
    outcome: tuple[Tensor, ...] = ()  # on the CPU, to compare two versions of the same work
    encoding: float = 0.0  # seconds, before the first step
    decoding: float = 0.0  # seconds, after the last


class Clock:
    """Seconds between steps, with the work of the device; on a GPU also the peak memory."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.ticks: dict[str, list[float]] = {}
        self.peaks: dict[str, int] = {}

    def tick(self, name: str) -> None:
        """Note the end of a step. The first step of a kind resets the peak memory."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            if name not in self.ticks:
                torch.cuda.reset_peak_memory_stats()
            self.peaks[name] = torch.cuda.max_memory_allocated()
        self.ticks.setdefault(name, []).append(time.perf_counter())

    def step(self, name: str) -> float:
        """Median seconds of a step without the first ones. The clock of this work is reset."""
        ticks = self.ticks.pop(name)[WARM_UP:]
        return median(after - before for before, after in pairwise(ticks))

    def measured(self, name: str, outcome: tuple[Tensor, ...], **besides: Any) -> Measured:
        """The measured figures of a kind of work, together with its other known figures."""
        outcome = tuple(part.detach().cpu() for part in outcome)
        return Measured(self.step(name), peak_bytes=self.peaks.get(name), outcome=outcome, **besides)

    @torch.no_grad()
    def once(self, name: str, work: Callable[[], object]) -> float:
        """Seconds of work that is done once beside the steps of a kind. It may raise the peak memory of that kind.

        It is done twice here, for the first time sets up the device.
        """
        work()
        self.tick("once")
        work()
        self.tick("once")
        if "once" in self.peaks:
            self.peaks[name] = max(self.peaks.get(name, 0), self.peaks.pop("once"))
        before, after = self.ticks.pop("once")
        return after - before


def subject_data(base: VideoDiffusionModel) -> SubjectData:
    """Random images with the upper half in the foreground."""
    images = torch.rand(IMAGES, 3, base.frame_size, base.frame_size, generator=seeded()) * 2 - 1
    masks = torch.zeros(IMAGES, 1, base.frame_size, base.frame_size)
    masks[:, :, : base.frame_size // 2] = 1
    return SubjectData(CLASS_WORD, images, masks)


def motion_data(base: VideoDiffusionModel, params: Params) -> MotionData:
    """One random clip with exactly the length that training needs."""
    frames, fps = params.data.num_frames, params.data.fps
    clip = torch.rand(frames, 3, base.frame_size, base.frame_size, generator=seeded()) * 2 - 1
    return MotionData([clip], [CAPTION], [fps], frames, fps)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def few_steps(params: Params, stage: str | None = None, steps: int | None = None) -> DreamVideo:
    """The profile's method with some steps of one stage (None: the measured number) and one step of every other."""
    steps = steps or WARM_UP + STEPS
    options = params.methods["dreamvideo"]
    return DreamVideo(options | {one: options[one] | {"steps": steps if one == stage else 1} for one in STAGES})


def training_outcome(
    method: DreamVideo, base: VideoDiffusionModel, stage: str, losses: list[float], trained: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """The outcome that two versions of a stage must share: the losses (n,) and the movement of P trained numbers (P,).

    The first loss alone says nothing of the gradients, for adapters start as nothing.
    """
    start = _untrained(method, base, stage).state_dict()
    return torch.tensor(losses), torch.cat([(trained[name].cpu() - start[name].cpu()).flatten() for name in start])


def _untrained(method: DreamVideo, base: VideoDiffusionModel, stage: str) -> nn.Module:
    """The start values of a stage, as training() draws them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeded().initial_seed())
        if stage == "textual_inversion":
            return TextualIdentity.from_class_word(base, CLASS_WORD)
        return method.identity_adapter(base) if stage == "identity_adapter" else method.motion_adapter(base)


def made_up_adapters(method: DreamVideo, base: VideoDiffusionModel) -> tuple[TextualIdentity, Adapter, Adapter]:
    """A textual identity, an identity adapter and a motion adapter. They are untrained but have an effect, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        identity, motion = method.identity_adapter(base), method.motion_adapter(base)
        for bottleneck in (*identity.bottlenecks.values(), *motion.bottlenecks.values()):
            nn.init.normal_(bottleneck.get_parameter("up.weight"), std=0.01)
    return TextualIdentity.from_class_word(base, CLASS_WORD), identity, motion
