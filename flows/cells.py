"""One cell: generate, save, score, log."""

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch
from prefect import task

from dreamvideo.dataset.clips import stride, write_clip
from dreamvideo.dataset.images import read_image
from dreamvideo.files import seed_from
from dreamvideo.memory import memory_explained, sampling_remedy, scoring_remedy
from dreamvideo.sample import invert_latents, sample_latents
from dreamvideo.weights import read_weights
from flows.claims import Taken, claimed
from flows.customize import adapter_schema, load_motion, to_bytes
from flows.plan import AdapterPlan, CellPlan, VideoPlan
from flows.progress import bar
from flows.reuse import reuse
from flows.tracking import GENERATION_KEY, Damaged, flatten
from flows.workbench import Workbench, workbench

KIND = "cell"
# The keys of what a video was made of: adapters, and all else that decides it but prompt and seed; and of all that
# decides its scores, which two cells must share to be compared.
SUBJECT_KEY, MOTION_KEY = "dreamvideo.subject_key", "dreamvideo.motion_key"
COMPOSITION, SCORING = "dreamvideo.composition", "dreamvideo.scoring"

Tensors = dict[str, torch.Tensor]


@task(name="run-cell", task_run_name="{plan.subject} x {plan.motion}")
def run_cell_task(
    params_json: str, plan: CellPlan, adapters: dict[str, str], parent: str, made: str | None = None
) -> str | None:
    """Generate and score one combination; returns the id of its run, or None if another worker has it."""
    with suppress(Taken):
        return run_cell(workbench(params_json), plan, adapters, parent, made)


def run_cell(bench: Workbench, plan: CellPlan, adapters: dict[str, str], parent: str, made: str | None = None) -> str:
    """Generate and score one combination.

    Args:
        bench: models and data.
        plan: the combination.
        adapters: run ids of the adapters, by key.
        parent: id of the benchmark's run.
        made: a finished run of the same generation key, whose video is scored again instead of generated again,
            unless it is damaged.

    Returns:
        The id of the cell's run.

    Raises:
        Taken: another worker has it.
    """
    name = f"{plan.subject} x {plan.motion}"
    with (
        claimed(bench.tracking, KIND, name, plan.key, bench.provenance, parent) as record,
        tempfile.TemporaryDirectory() as folder,
    ):
        bench.verify(plan)
        for kind, wanted, key in (
            ("subject", plan.subject, plan.subject_key),
            ("motion", plan.motion, plan.motion_key),
        ):
            if key not in adapters:
                raise RuntimeError(f"the adapter of {kind} {wanted} could not be trained; its failed run says why")
        subject, motion = bench.catalog.subject(plan.subject), bench.catalog.motion(plan.motion)
        record.params |= {
            "subject": plan.subject, "motion": plan.motion, "prompt": plan.prompt, "seed": plan.seed,
            "method": bench.method.name, "base_model": bench.base.key[:12],
            "subject_adapter": adapters[plan.subject_key], "motion_adapter": adapters[plan.motion_key],
        } | flatten(bench.params.sampling.model_dump(), "sampling.")  # fmt: skip
        record.tags |= {
            GENERATION_KEY: plan.generation_key,
            SUBJECT_KEY: plan.subject_key,
            MOTION_KEY: plan.motion_key,
            COMPOSITION: bench.keys.composition,
            SCORING: bench.keys.scoring(subject, motion),
        }
        path = Path(folder) / "video.mp4"
        if made and _copied(bench, made, path):
            record.params["video_of"] = made
        else:
            weights = load_adapters(bench, plan, adapters)
            with bench.sampling:
                started = time.monotonic()
                frames = sample_video(bench, plan, *weights)
            record.metrics["seconds.generate"] = time.monotonic() - started
            write_clip(path, frames, bench.params.data.fps)
        generated = time.monotonic()
        with memory_explained(f"scoring {name}", scoring_remedy(bench.params.execution)):
            record.metrics |= bench.suite.score_video(path, subject, motion, plan.prompt)
        record.metrics["seconds.score"] = time.monotonic() - generated
        bench.tracking.keep(record, path)
    return record.run_id


def _copied(bench: Workbench, made: str, path: Path) -> bool:
    """Copy the video of an earlier run; returns False where it is damaged, so that it has to be generated again."""
    try:
        shutil.copyfile(reuse(bench.tracking, made), path)
    except Damaged:
        return False
    return True


def generate_video(bench: Workbench, plan: VideoPlan, identity: Tensors, motion: Tensors, path: Path) -> None:
    """Generate the video of a combination from the adapters' weights, and save it."""
    write_clip(path, sample_video(bench, plan, identity, motion), bench.params.data.fps)


def sample_video(bench: Workbench, plan: VideoPlan, identity: Tensors, motion: Tensors) -> torch.Tensor:
    """Generate the video of a combination from the adapters' weights: bytes (F, 3, S, S) on the CPU."""
    generator = torch.Generator().manual_seed(seed_from(plan.generation_key, "noise"))
    images = bench.catalog.subject(plan.subject).images
    reference = images[int(torch.randint(len(images), (1,), generator=generator))]
    sampling = bench.params.sampling
    with memory_explained(f"generating {plan.subject} x {plan.motion}", sampling_remedy(bench.params.compute)):
        inverted = _inverted_clip(bench, plan) if sampling.inversion_strength else None
        with (
            bench.method.composed(bench.base, identity, motion, read_image(reference, bench.base.frame_size)) as encode,
            torch.no_grad(),
            bar(f"{plan.subject} x {plan.motion}", sampling.steps) as line,
        ):
            text = encode([sampling.negative_prompt, plan.prompt])
            frames = bench.params.data.num_frames
            latents = sample_latents(bench.base, text, sampling, generator, frames, inverted, line.at)
            return to_bytes(bench.base.decode_latents(latents)[0]).cpu()


def _inverted_clip(bench: Workbench, plan: VideoPlan) -> torch.Tensor:
    """The noise that leads to the start of the motion's first clip, without words or adapters."""
    data, base = bench.params.data, bench.base
    motion = load_motion(bench.catalog.motion(plan.motion), base.frame_size, data.num_frames, data.fps)
    start = motion.clips[0][:: stride(motion.fps[0], data.fps)][: data.num_frames]
    steps = bench.params.sampling.steps

    def invert(clip: torch.Tensor) -> torch.Tensor:
        return invert_latents(base, base.encode_frames(clip), base.encode_text([""]), steps)

    return base.once(f"inverted in {steps} steps", start[None], invert)


def load_adapters(bench: Workbench, plan: CellPlan, adapters: dict[str, str]) -> tuple[Tensors, Tensors]:
    """The weights of a combination's trained adapters, given the ids of their runs by key."""
    return (
        load_adapter(bench, AdapterPlan("identity", plan.subject, plan.subject_key), adapters[plan.subject_key]),
        load_adapter(bench, AdapterPlan("motion", plan.motion, plan.motion_key), adapters[plan.motion_key]),
    )


def load_adapter(bench: Workbench, plan: AdapterPlan, run_id: str) -> Tensors:
    """The weights of a trained adapter, checked against what the plan needs.

    Raises:
        Damaged: they are not what was stored; the adapter counts as not trained from now on.
    """
    return read_weights(bench.adapter_file(run_id), **adapter_schema(bench, plan))[0]
