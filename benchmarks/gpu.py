"""Speed and memory of training and sampling on a GPU, or on the CPU if there is none. `make bench` runs it too.

The same run also measures a plain version of the same work: float32, nothing kept between steps, one branch of guidance
after the other. On a GPU it also measures compiled blocks, and compares their outcome with that of uncompiled blocks.
Dropout is off, because another precision draws other numbers. Read the ratios. Work that needs more memory than there is
"does not fit". Without published weights, the paper's network has its full size and random weights. The default is the
pocket profile on a CPU and the paper profile on a GPU; --profile changes it.
"""

import argparse
import gc
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks import ours, plain
from benchmarks.trial import STAGES, Clock, Measured
from dreamvideo.base_models import load_base_model
from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.base_models.loading import is_hub_id
from dreamvideo.params import ComputeParams, Params, load_params
from flows.tracking.provenance import git_commit, machine

T = TypeVar("T")
Build = Callable[[Params, ComputeParams], VideoDiffusionModel]
Found = dict[str, Measured | None]  # by the way of working; None: it does not fit

WORK = (*STAGES, "video")
DOES_NOT_FIT = "does not fit"


def main() -> None:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="paper" if on_gpu else "pocket")
    rounds = "how often each way is built and measured. The ways take turns, because machines have slow minutes; the best counts"
    parser.add_argument("--rounds", type=int, default=1 if on_gpu else 4, help=rounds)
    arguments = parser.parse_args()
    params = load_params(profile=arguments.profile)
    figures = measure(params, build_base, arguments.rounds)
    path = Path("benchmarks") / f"speed-{params.profile}.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    show(figures)


def weights_are_random(params: Params) -> bool:
    """Whether the paper's base model gets random weights, because the folder of its weights is missing."""
    weights = params.base_model.weights
    return params.base_model.name == "modelscope" and not is_hub_id(weights) and not weights.is_dir()


def build_base(params: Params, compute: ComputeParams) -> VideoDiffusionModel:
    """The profile's base model, or the paper's with random weights.

    Raises:
        InputError: weights that do not fit, or that the hub does not give.
    """
    if weights_are_random(params):
        from benchmarks.random_modelscope import random_modelscope

        return random_modelscope(params.base_model, compute)
    return load_base_model(params.base_model, compute)


def measure(params: Params, build: Build, rounds: int) -> dict:
    """All figures of a profile: each stage and a video, by this project and plainly, in turns. The best of each counts."""
    device = params.compute.torch_device()
    ways = {"plain": ComputeParams(device=params.compute.device), "ours": params.compute}
    if device.type == "cuda":
        ways["compiled"] = params.compute.model_copy(update={"compiled": True})
    found: dict[str, Found] = {name: {} for name in WORK}
    for _ in range(rounds):
        for way, compute in ways.items():
            for name, measured in _measured(
                params, build, compute, plain.work if way == "plain" else ours.work
            ).items():
                found[name][way] = _better(found[name].get(way), measured)
            _free(compute)
    peak = matrix_product(device)
    work = {name: _row(found[name], _steps(params, name), peak) for name in WORK}
    return {
        "profile": params.profile,
        "commit": git_commit(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "machine": machine(),
        "random_weights": weights_are_random(params),
        "matrix_product_tflops": round(peak, 3),
        "work": work,
        "grid": _grid(params, work),
    }


def _measured(params: Params, build: Build, compute: ComputeParams, work: Callable) -> dict[str, Measured | None]:
    """Measure every kind of work on one base model, and release the base model afterwards."""
    base = _fitting(lambda: build(params, compute))
    if base is None:
        return dict.fromkeys(WORK)
    for module in base.denoiser.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return {name: _fitting(run) for name, run in work(base, params).items()}


def _fitting(run: Callable[[], T]) -> T | None:
    """The result of some work, or None if the memory is too small for it."""
    try:
        return run()
    except torch.OutOfMemoryError as error:
        traceback.clear_frames(error.__traceback__)  # its frames hold the tensors
        return None
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def _free(compute: ComputeParams) -> None:
    """Release the base model of a way. It refers to itself, and compiled code refers to it."""
    if compute.compiled:
        torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()


def _better(one: Measured | None, other: Measured | None) -> Measured | None:
    return min((each for each in (one, other) if each), key=lambda each: each.seconds, default=None)


def _steps(params: Params, name: str) -> int:
    """The number of steps of a kind of work in the profile."""
    return params.sampling.steps if name == "video" else params.methods["dreamvideo"][name]["steps"]


def _row(found: Found, steps: int, peak: float) -> dict:
    """The figures of one kind of work; None if nothing was measured.

    Args:
        found: by way.
        steps: how many the profile takes.
        peak: TFLOP/s of a large matrix product.
    """
    mine, plainly, compiled = (found.get(way) for way in ("ours", "plain", "compiled"))
    rate = mine.flops / mine.seconds / 1e12 if mine and mine.flops else None
    return {
        "seconds_per_step": _per_step(found, "ours"),
        "encoding_seconds": round(mine.encoding, 4) if mine else None,
        "decoding_seconds": round(mine.decoding, 4) if mine else None,
        "seconds": round(mine.encoding + mine.seconds * steps + mine.decoding, 2) if mine else None,
        "compiled_seconds_per_step": _per_step(found, "compiled"),
        "compiled_relative_difference": _difference(compiled, mine),
        "plain_seconds_per_step": _per_step(found, "plain"),
        "times_faster": round(plainly.seconds / mine.seconds, 2) if mine and plainly else None,
        "relative_difference": _difference(mine, plainly),
        "tflops": round(rate, 3) if rate else None,
        "share_of_matrix_product": round(rate / peak, 3) if rate else None,
        "peak_gib": _gib(mine),
        "plain_peak_gib": _gib(plainly),
    }


def _per_step(found: Found, way: str) -> float | str | None:
    if way not in found:
        return None
    step = found[way]
    return round(step.seconds, 4) if step else DOES_NOT_FIT


def _difference(one: Measured | None, other: Measured | None) -> float | None:
    """The relative difference of two outcomes. For several parts, the largest difference counts.

    Of training that is how far the trained numbers moved: 1.4 for gradients that have nothing in common, and up to a
    third for equal ones in bfloat16, since Adam's first steps are little more than signs.
    """
    if not one or not other:
        return None
    pairs = zip(one.outcome, other.outcome, strict=True)
    return float(f"{max(((mine - theirs).norm() / theirs.norm()).item() for mine, theirs in pairs):.2g}")


def _gib(measured: Measured | None) -> float | None:
    return round(measured.peak_bytes / 2**30, 2) if measured and measured.peak_bytes else None


def _grid(params: Params, work: dict[str, dict]) -> dict:
    """The time of the profile's benchmark on one device with all trainings, without saving and scoring."""
    subjects, motions = params.data.subjects, params.data.motions
    videos = subjects * motions * params.benchmark.prompts
    times = {"textual_inversion": subjects, "identity_adapter": subjects, "motion_adapter": motions, "video": videos}
    seconds = [work[name]["seconds"] for name in WORK]
    hours = None if None in seconds else sum(work[name]["seconds"] * times[name] for name in WORK) / 3600
    return {"subjects": subjects, "motions": motions, "videos": videos, "hours": hours and round(hours, 2)}


def matrix_product(device: torch.device) -> float:
    """The present speed of the device: a large matrix product, bfloat16 on a GPU and float32 on a CPU, in TFLOP/s."""
    size, kind = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    a, b = torch.randn(2, size, size, device=device, dtype=kind)
    clock = Clock(device)
    for _ in range(20):
        a @ b
        clock.tick("product")
    return 2 * size**3 / clock.step("product") / 1e12


def show(figures: dict) -> None:
    work, grid = figures["work"], figures["grid"]
    title = f"{figures['profile']} on {figures['device']}{', random weights' if figures['random_weights'] else ''}"
    table = Table("", *(name.replace("_", " ") for name in work), title=title)
    for figure in next(iter(work.values())):
        values = (row[figure] for row in work.values())
        table.add_row(figure.replace("_", " "), *("-" if value is None else str(value) for value in values))
    total = DOES_NOT_FIT if grid["hours"] is None else f"{grid['hours']} hours"
    Console().print(
        table,
        f"a large matrix product: {figures['matrix_product_tflops']} TFLOP/s\n"
        f"{grid['subjects']} x {grid['motions']}, {grid['videos']} videos, without saving and scoring: {total}",
    )


if __name__ == "__main__":
    main()
