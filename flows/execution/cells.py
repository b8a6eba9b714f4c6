"""One cell: generate, save, score, log."""

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch
from prefect import task

from dreamvideo.dataset.clips import write_clip
from dreamvideo.dataset.images import read_image
from dreamvideo.dataset.rules import window
from dreamvideo.errors import DamagedError, ProjectError
from dreamvideo.files import seed_from
from dreamvideo.memory import memory_explained, sampling_remedy, scoring_remedy
from dreamvideo.sample import invert_latents, sample_latents
from dreamvideo.weights import read_weights
from evaluation.metrics import metric_revisions
from flows.execution.adapters import adapter_schema, load_motion, to_bytes
from flows.execution.progress import bar
from flows.execution.resources import Resources, resources_for
from flows.planning.keys import AdapterPlan, CellPlan, VideoPlan
from flows.tracking.leases import LeaseHeldError, leased_run
from flows.tracking.schema import ROLE_KEY, Artifact, Figure, Kind, Param, Tag, adapter_param, flatten, revision_tags

Tensors = dict[str, torch.Tensor]


@task(name="run-cell", task_run_name="{plan.subject} x {plan.motion}")
def run_cell_task(
    params_json: str, plan: CellPlan, adapters: dict[str, str], parent: str, made: str | None = None
) -> str | None:
    """Generate and score one combination; returns the id of its run, or None if another worker holds the lease."""
    with suppress(LeaseHeldError):
        return run_cell(resources_for(params_json), plan, adapters, parent, made)
    return None


def run_cell(
    resources: Resources, plan: CellPlan, adapters: dict[str, str], parent: str, made: str | None = None
) -> str:
    """Generate and score one combination.

    Args:
        resources: models and data.
        plan: the combination.
        adapters: run ids of the adapters, by key.
        parent: id of the benchmark's run.
        made: id of a finished run of the same generation key, made with other metric encoders. Its video is copied and
            scored again. If the video is damaged, it is generated again.

    Returns:
        The id of the cell's run.

    Raises:
        LeaseHeldError: another worker holds the lease, or has finished it.
    """
    name = f"{plan.subject} x {plan.motion}"
    with (
        leased_run(resources.tracking, Kind.CELL, name, plan.key, resources.provenance, parent) as record,
        tempfile.TemporaryDirectory() as folder,
    ):
        resources.verify(plan)
        for adapter in plan.adapters:
            if adapter.key not in adapters:
                raise ProjectError(
                    f"the adapter of {adapter.role.noun} {adapter.name} could not be trained; its failed run says why"
                )
        subject, motion = resources.catalog.subject(plan.subject), resources.catalog.motion(plan.motion)
        record.params |= {
            "subject": plan.subject, "motion": plan.motion, "prompt": plan.prompt, "seed": plan.seed,
            Param.METHOD: resources.method.name, Param.BASE_MODEL: resources.base.key[:12],
            **{adapter_param(adapter.role): adapters[adapter.key] for adapter in plan.adapters},
        } | flatten(resources.params.sampling.model_dump(), "sampling.")  # fmt: skip
        record.tags |= {
            Tag.GENERATION_KEY: plan.generation_key,
            **{ROLE_KEY[adapter.role]: adapter.key for adapter in plan.adapters},
            Tag.COMPOSITION_KEY: resources.keys.composition,
            Tag.SCORING_KEY: resources.keys.scoring(subject, motion),
        }
        path = Path(folder) / Artifact.VIDEO
        if made and _copied(resources, made, path):
            record.params[Param.VIDEO_OF] = made
        else:
            weights = load_adapters(resources, plan, adapters)
            with resources.sampling:
                started = time.monotonic()
                frames = sample_video(resources, plan, *weights)
            record.metrics[Figure.SECONDS_GENERATING] = time.monotonic() - started
            write_clip(path, frames, resources.params.data.fps)
        generated = time.monotonic()
        with memory_explained(f"scoring {name}", scoring_remedy(resources.params.execution)):
            record.metrics |= resources.suite.score_video(path, subject, motion, plan.prompt)
        record.metrics[Figure.SECONDS_SCORING] = time.monotonic() - generated
        record.tags |= revision_tags(metric_revisions())
        resources.tracking.keep(record, path)
    return record.run_id


def _copied(resources: Resources, made: str, path: Path) -> bool:
    """Copy the video of an earlier run; returns False if it is damaged."""
    try:
        shutil.copyfile(resources.tracking.artifacts.reuse(made), path)
    except DamagedError:
        return False
    return True


def generate_video(resources: Resources, plan: VideoPlan, identity: Tensors, motion: Tensors, path: Path) -> None:
    """Generate the video of a combination from the adapters' weights, and save it."""
    write_clip(path, sample_video(resources, plan, identity, motion), resources.params.data.fps)


def sample_video(resources: Resources, plan: VideoPlan, identity: Tensors, motion: Tensors) -> torch.Tensor:
    """Generate the video of a combination from the adapters' weights: bytes (F, 3, S, S) on the CPU."""
    generator = torch.Generator().manual_seed(seed_from(plan.generation_key, "noise"))
    images = resources.catalog.subject(plan.subject).images
    reference = images[int(torch.randint(len(images), (1,), generator=generator))]
    sampling = resources.params.sampling
    with memory_explained(f"generating {plan.subject} x {plan.motion}", sampling_remedy(resources.params.compute)):
        inverted = _inverted_clip(resources, plan) if sampling.inversion_strength else None
        with (
            resources.method.composed(
                resources.base, identity, motion, read_image(reference, resources.base.frame_size)
            ) as encode,
            torch.no_grad(),
            bar(f"{plan.subject} x {plan.motion}", sampling.steps) as line,
        ):
            text = encode([sampling.negative_prompt, plan.prompt])
            frames = resources.params.data.num_frames
            latents = sample_latents(resources.base, text, sampling, generator, frames, inverted, line.at)
            return to_bytes(resources.base.decode_latents(latents)[0]).cpu()


def _inverted_clip(resources: Resources, plan: VideoPlan) -> torch.Tensor:
    """The noise that leads to the first frames of the motion's first clip, without a prompt and without adapters."""
    data, base = resources.params.data, resources.base
    motion = load_motion(resources.catalog.motion(plan.motion), base.frame_size, data.num_frames, data.fps)
    start = motion.clips[0][window(data.num_frames, motion.fps[0], data.fps)]
    steps = resources.params.sampling.steps

    def invert(clip: torch.Tensor) -> torch.Tensor:
        return invert_latents(base, base.encode_frames(clip), base.encode_text([""]), steps)

    return base.once(f"inverted in {steps} steps", start[None], invert)


def load_adapters(resources: Resources, plan: CellPlan, adapters: dict[str, str]) -> tuple[Tensors, Tensors]:
    """The weights of a combination's trained adapters, given the ids of their runs by key."""
    subject, motion = (load_adapter(resources, adapter, adapters[adapter.key]) for adapter in plan.adapters)
    return subject, motion


def load_adapter(resources: Resources, plan: AdapterPlan, run_id: str) -> Tensors:
    """The weights of a trained adapter, checked against what the plan needs.

    Raises:
        DamagedError: the weights are not what was stored. From now on, the adapter counts as not trained.
    """
    return read_weights(resources.adapter_file(run_id), **adapter_schema(resources, plan))[0]
