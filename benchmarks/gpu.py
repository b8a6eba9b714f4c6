"""Speed and memory of training and sampling on whatever device is there: `make bench` runs it too.

Every figure stands beside a plain version of the same work, measured in the same run: float32, nothing kept between
steps, both branches of guidance one after the other; on a GPU also beside compiled blocks. Read the ratios. Without
published weights the paper's network is built at full size with random ones. On a CPU the pocket profile is measured,
on a GPU the paper's; --profile chooses.
"""

import argparse
import gc
import json
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import plain
from benchmarks.trial import CAPTION, Clock, Measured, few_steps, motion_data, seeded, subject_data
from dreamvideo.base_models import load_base_model
from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.params import ComputeParams, Params, load_params
from dreamvideo.sample import sample_latents
from flows.provenance import machine

ROUNDS = 4  # in turns, since machines have slow minutes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="paper" if torch.cuda.is_available() else "pocket")
    params = load_params(profile=parser.parse_args().profile)
    figures = measure(params, build_base)
    path = Path("benchmarks") / f"speed-{params.profile}.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    show(figures)


def build_base(params: Params, compute: ComputeParams) -> VideoDiffusionModel:
    """The profile's base model, or the paper's with random weights where its folder is not there."""
    if params.base_model.name == "modelscope" and not params.base_model.weights.is_dir():
        from benchmarks.random_modelscope import random_modelscope

        return random_modelscope(params.base_model, compute)
    return load_base_model(params.base_model, compute)


def measure(
    params: Params, build: Callable[[Params, ComputeParams], VideoDiffusionModel], rounds: int = ROUNDS
) -> dict:
    """All figures of a profile: each stage and a video, this project's way and plainly, in turns; the best of each."""
    computes = {"plain": ComputeParams(device=params.compute.device), "ours": params.compute}
    if params.compute.torch_device().type == "cuda":
        computes["compiled"] = params.compute.model_copy(update={"compiled": True})
    ways: dict[str, dict[str, Measured]] = {way: {} for way in computes}
    for _ in range(rounds):
        for way, compute in computes.items():
            base = build(params, compute)
            work = plain.work if way == "plain" else ours
            for name, run in work(base, params).items():
                found = _measured(base.device, run)
                ways[way][name] = min(ways[way].get(name, found), found, key=lambda one: one.seconds)
            device = base.device
            del base
            gc.collect()
    peak = matrix_product(device)
    return {
        "profile": params.profile,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "machine": machine(),
        "matrix_product_tflops": round(peak, 3),
        "work": {
            name: _compared(mine, ways["plain"][name], ways.get("compiled", {}).get(name), steps_of(params, name), peak)
            for name, mine in ways["ours"].items()
        },
    }


def steps_of(params: Params, name: str) -> int:
    """How many steps the profile takes of a kind of work."""
    return params.sampling.steps if name == "video" else params.methods["dreamvideo"][name]["steps"]


def ours(base: VideoDiffusionModel, params: Params) -> dict[str, Callable[[], Measured]]:
    """The work as the flows do it, through the method's own training and this project's sampler."""
    method, clock = few_steps(params), Clock(base.device)

    def train(kind: str, stage: str) -> Measured:
        data = subject_data(base) if kind == "subject" else motion_data(base, params)
        trained = getattr(method, f"train_{kind}")(base, data, seeded(), lambda name, *_: clock.tick(name))
        return Measured(clock.step(stage.replace("_", " ")), outcome=torch.tensor(trained.losses[stage][:1]))

    def video() -> Measured:
        text = base.encode_text(["", CAPTION])
        frames = params.data.num_frames
        latents = sample_latents(base, text, params.sampling, seeded(), frames, on_step=lambda _: clock.tick("video"))
        return Measured(clock.step("video"), flops=_flops(base, params), outcome=latents)

    return {
        "textual_inversion": lambda: train("subject", "textual_inversion"),
        "identity_adapter": lambda: train("subject", "identity_adapter"),
        "motion_adapter": lambda: train("motion", "motion_adapter"),
        "video": video,
    }


def _flops(base: VideoDiffusionModel, params: Params) -> float:
    """Operations of one guided step of sampling."""
    noisy = torch.randn(2, base.latent_shape[0], params.data.num_frames, *base.latent_shape[1:], device=base.device)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        base.predict(noisy, torch.tensor(500, device=base.device), base.encode_text(["", CAPTION]))
    return float(counter.get_total_flops())


def _measured(device: torch.device, run: Callable[[], Measured]) -> Measured:
    if device.type != "cuda":
        return run()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    measured = run()
    measured.peak_bytes = torch.cuda.max_memory_allocated()
    return measured


def _compared(mine: Measured, plainly: Measured, compiled: Measured | None, steps: int, peak: float) -> dict:
    error = (mine.outcome.float().cpu() - plainly.outcome.float().cpu()).norm() / plainly.outcome.float().cpu().norm()
    rate = mine.flops / mine.seconds / 1e12 if mine.flops else None
    return {
        "seconds_per_step": round(mine.seconds, 4),
        "seconds": round(mine.seconds * steps, 2),
        "compiled_seconds_per_step": round(compiled.seconds, 4) if compiled else None,
        "plain_seconds_per_step": round(plainly.seconds, 4),
        "times_faster": round(plainly.seconds / mine.seconds, 2),
        "relative_difference": float(f"{error.item():.2g}"),
        "tflops": round(rate, 3) if rate else None,
        "share_of_matrix_product": round(rate / peak, 3) if rate else None,
        "peak_gib": round(mine.peak_bytes / 2**30, 2) if mine.peak_bytes else None,
        "plain_peak_gib": round(plainly.peak_bytes / 2**30, 2) if plainly.peak_bytes else None,
    }


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
    work = figures["work"]
    table = Table("", *(name.replace("_", " ") for name in work), title=f"{figures['profile']} on {figures['device']}")
    for figure in next(iter(work.values())):
        values = (row[figure] for row in work.values())
        table.add_row(figure.replace("_", " "), *("-" if value is None else str(value) for value in values))
    Console().print(table, f"a large matrix product: {figures['matrix_product_tflops']} TFLOP/s")


if __name__ == "__main__":
    main()
