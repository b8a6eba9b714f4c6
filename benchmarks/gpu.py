"""Speed and memory of training and sampling on whatever device is there: `make bench` runs it too.

Every figure stands beside a plain version of the same work, measured in the same run: float32, nothing kept between
steps, both branches of guidance one after the other; on a GPU also beside compiled blocks, whose outcome is compared
with that of the same blocks as they are. Dropout is off, for its draws are others in another precision. Read the
ratios. Work that the memory does not hold is said to not fit. Without published weights the paper's network is built at
full size with random ones. On a CPU the pocket profile is measured, on a GPU the paper's; --profile chooses.
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
Found = dict[str, Measured | None]  # by way; None: it does not fit

WORK = (*STAGES, "video")
DOES_NOT_FIT = "does not fit"


def main() -> None:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="paper" if on_gpu else "pocket")
    rounds = "how often each way is built and measured, in turns, since machines have slow minutes; the best counts"
    parser.add_argument("--rounds", type=int, default=1 if on_gpu else 4, help=rounds)
    arguments = parser.parse_args()
    params = load_params(profile=arguments.profile)
    figures = measure(params, build_base, arguments.rounds)
    path = Path("benchmarks") / f"speed-{params.profile}.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    show(figures)


def weights_are_random(params: Params) -> bool:
    """Whether the paper's base model is measured without its weights, since their folder is not there."""
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
    """All figures of a profile: each stage and a video, this project's way and plainly, in turns; the best of each."""
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
    """Every kind of work on a base model that nothing holds afterwards."""
    base = _fitting(lambda: build(params, compute))
    if base is None:
        return dict.fromkeys(WORK)
    for module in base.unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return {name: _fitting(run) for name, run in work(base, params).items()}


def _fitting(run: Callable[[], T]) -> T | None:
    """What some work gives, or None where the memory does not hold it."""
    try:
        return run()
    except torch.OutOfMemoryError as error:
        traceback.clear_frames(error.__traceback__)  # they hold the tensors
        return None
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def _free(compute: ComputeParams) -> None:
    """Forget the base model of a way: it holds itself in circles, and compiled code holds it."""
    if compute.compiled:
        torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()


def _better(one: Measured | None, other: Measured | None) -> Measured | None:
    return min((each for each in (one, other) if each), key=lambda each: each.seconds, default=None)


def _steps(params: Params, name: str) -> int:
    """How many steps the profile takes of a kind of work."""
    return params.sampling.steps if name == "video" else params.methods["dreamvideo"][name]["steps"]


def _row(found: Found, steps: int, peak: float) -> dict:
    """The figures of one kind of work; None where there is nothing to say.

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
    return round(found[way].seconds, 4) if found[way] else DOES_NOT_FIT


def _difference(one: Measured | None, other: Measured | None) -> float | None:
    """How far an outcome is from another, as a share of that one; of several parts, the one that is farthest.

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
    """What the profile's benchmark takes on one device, all adapters trained; without saving and scoring."""
    subjects, motions = params.data.subjects, params.data.motions
    videos = subjects * motions * params.benchmark.prompts
    times = {"textual_inversion": subjects, "identity_adapter": subjects, "motion_adapter": motions, "video": videos}
    seconds = [work[name]["seconds"] for name in WORK]
    hours = None if None in seconds else sum(work[name]["seconds"] * times[name] for name in WORK) / 3600
    return {"subjects": subjects, "motions": motions, "videos": videos, "hours": hours and round(hours, 2)}


def matrix_product(device: torch.device) -> float:
    """How fast the device is just now: a large matrix product, bfloat16 on a GPU and float32 on a CPU, in TFLOP/s."""
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
