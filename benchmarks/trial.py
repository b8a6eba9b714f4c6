"""What the two versions of the same work share: made-up data, a clock, and what is measured.

Shapes: S pixels a side.
"""

import time
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor

from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.methods.contract import MotionData, SubjectData
from dreamvideo.methods.dreamvideo import DreamVideo
from dreamvideo.params import Params

STEPS = 8  # measured of each stage, after WARM_UP
WARM_UP = 2
STAGES = ("textual_inversion", "identity_adapter", "motion_adapter")
IMAGES, CLASS_WORD, CAPTION = 5, "dog", "a dog is running"


@dataclass
class Measured:
    """One kind of work: seconds a step, what it computed, and what it held."""

    seconds: float
    flops: float | None = None  # of a step
    peak_bytes: int | None = None  # on a GPU
    outcome: Tensor | None = None  # to compare two versions of the same work


class Clock:
    """Seconds between steps, the device's work included."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.ticks = device, {}

    def tick(self, name: str) -> None:
        """A step ends."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.ticks.setdefault(name, []).append(time.perf_counter())

    def step(self, name: str) -> float:
        """Median seconds of a step, the first ones left out; the clock of this work starts anew."""
        ticks = self.ticks.pop(name)[WARM_UP:]
        return median(after - before for before, after in pairwise(ticks))


def subject_data(base: VideoDiffusionModel) -> SubjectData:
    """Random images with the upper half in the foreground."""
    images = torch.rand(IMAGES, 3, base.frame_size, base.frame_size, generator=seeded()) * 2 - 1
    masks = torch.zeros(IMAGES, 1, base.frame_size, base.frame_size)
    masks[:, :, : base.frame_size // 2] = 1
    return SubjectData(CLASS_WORD, images, masks)


def motion_data(base: VideoDiffusionModel, params: Params) -> MotionData:
    """One random clip of just the length that training needs."""
    frames, fps = params.data.num_frames, params.data.fps
    clip = torch.rand(frames, 3, base.frame_size, base.frame_size, generator=seeded()) * 2 - 1
    return MotionData([clip], [CAPTION], [fps], frames, fps)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def few_steps(params: Params) -> DreamVideo:
    """The profile's method with as many steps as are measured."""
    options = params.methods["dreamvideo"]
    return DreamVideo(options | {stage: options[stage] | {"steps": WARM_UP + STEPS} for stage in STAGES})
