"""Train adapters. Each is one MLflow run with its loss curve and a preview, and is found again by its key."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from prefect import task
from rich.text import Text

from dreamvideo.dataset.catalog import Motion, Subject
from dreamvideo.dataset.clips import read_clip, resize_frames, write_clip
from dreamvideo.dataset.images import open_image, read_image, read_mask
from dreamvideo.dataset.rules import check_timing
from dreamvideo.files import seed_from
from dreamvideo.memory import memory_explained, training_remedy
from dreamvideo.methods.contract import MotionData, SubjectData, Trained
from dreamvideo.params import ExecutionParams, Params
from dreamvideo.roles import Role
from dreamvideo.sample import sample_latents
from dreamvideo.weights import save_weights
from flows.execution.data_gate import pass_gate
from flows.execution.progress import bar, console
from flows.execution.resources import Resources, resources_for
from flows.planning.keys import AdapterPlan
from flows.tracking.leases import LeaseHeldError, leased_run, make_or_wait
from flows.tracking.schema import Artifact, Kind, Param, Tag, flatten, loss_curve

OnTrained = Callable[[Resources, AdapterPlan, str], object]  # called with the id of the adapter's run
PREVIEWS = {Role.SUBJECT: "preview.png", Role.MOTION: "preview.mp4"}
PREVIEW_PROMPTS = ("a * on the beach", "a * in the meadow", "a * at night", "a * in the room")


@task(name="train-adapter", task_run_name="{plan.role} {plan.name}")
def train_adapter_task(params_json: str, plan: AdapterPlan) -> str | None:
    """Train one adapter; returns the id of its run, or None if another worker holds the lease."""
    with suppress(LeaseHeldError):
        return train_adapter(resources_for(params_json), plan)
    return None


def train_adapter(resources: Resources, plan: AdapterPlan) -> str:
    """Train one adapter and record it; returns the id of its run.

    Raises:
        LeaseHeldError: another worker holds the lease, or has finished it.
    """
    recipe = resources.method.recipe(plan.role)
    tags = resources.provenance | {Tag.ROLE: str(plan.role), Tag.NAME: plan.name}
    with (
        leased_run(resources.tracking, Kind.ADAPTER, f"{plan.role} {plan.name}", plan.key, tags) as record,
        tempfile.TemporaryDirectory() as folder,
        threads_of_a_worker(resources.params.execution),
    ):
        resources.verify(plan)
        record.params |= flatten(recipe) | {
            Param.METHOD: resources.method.name,
            Param.BASE_MODEL: resources.base.key[:12],
        }
        with memory_explained(f"training {plan.role} {plan.name}", training_remedy(resources.params.compute)):
            trained = train(resources, plan)
            shown = preview(resources, plan, trained, Path(folder))
        record.params[Param.PARAMETERS] = sum(tensor.numel() for tensor in trained.tensors.values())
        record.curves |= {loss_curve(stage): dict(enumerate(curve, start=1)) for stage, curve in trained.losses.items()}
        path = Path(folder) / Artifact.ADAPTER
        schema = adapter_schema(resources, plan) | {"name": plan.name, "recipe": recipe}
        save_weights(path, trained.tensors, schema)
        resources.tracking.keep(record, path)
        resources.tracking.artifacts.attach(record.run_id, shown)
    return record.run_id


@contextmanager
def threads_of_a_worker(execution: ExecutionParams) -> Iterator[None]:
    """Use as many threads as a worker of the profile has. The last bits of an adapter depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if execution.runner == "local" else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def ensure_adapter(resources: Resources, plan: AdapterPlan, on_trained: OnTrained) -> tuple[str, bool]:
    """Train an adapter that has no finished run, and call ``on_trained`` after that.

    Returns:
        The id of the adapter's run, and whether it was trained now.
    """
    run_id, now = make_or_wait(lambda: train_adapter(resources, plan))
    if now:
        on_trained(resources, plan, run_id)
    return run_id, now


def customize(params: Params, role: Role, name: str, on_trained: OnTrained) -> tuple[str, bool]:
    """Train the adapter of one subject or one motion, as :func:`ensure_adapter` does.

    Raises:
        InputError: an unknown name, or data that does not pass the gate.
    """
    resources = Resources(params)
    plan = resources.keys.adapter(resources.catalog.entry(role, name))
    pass_gate(params, counted=False)
    return ensure_adapter(resources, plan, on_trained)


def adapter_schema(resources: Resources, plan: AdapterPlan) -> dict:
    """The schema in the header of a weight file that this plan can use. The name is not in it, since the name may change."""
    return {"method": resources.method.name, "kind": plan.role, "base_model": resources.base.key, "key": plan.key}


def load_subject(subject: Subject, size: int) -> SubjectData:
    """A subject's images and masks, ready to train on."""
    images = torch.stack([read_image(path, size) for path in subject.images])
    if not subject.masks:
        return SubjectData(subject.class_word, images, None)
    pairs = zip(subject.masks, subject.images, strict=True)
    masks = torch.stack([read_mask(mask, size, open_image(image).size) for mask, image in pairs])
    return SubjectData(subject.class_word, images, masks)


def load_motion(motion: Motion, size: int, num_frames: int, fps: float) -> MotionData:
    """A motion's clips, ready to train on.

    Raises:
        InputError: a clip that cannot be read, or is too short.
    """
    clips = [read_clip(clip.path) for clip in motion.clips]
    for clip, (frames, rate) in zip(motion.clips, clips, strict=True):
        check_timing(motion.name, clip.path, len(frames), rate, num_frames, fps)
    return MotionData(
        clips=[resize_frames(frames, size) for frames, _ in clips],
        captions=[clip.caption for clip in motion.clips],
        fps=[rate for _, rate in clips],
        num_frames=num_frames,
        target_fps=fps,
    )


def train(resources: Resources, plan: AdapterPlan) -> Trained:
    """Train with a seed that follows from the key, and show a line of progress."""
    data = _data(resources, plan)
    generator = torch.Generator().manual_seed(seed_from(plan.key, "training"))
    with bar(f"{plan.role} {plan.name}") as line:

        def on_stage(stage: str, step: int, steps: int, loss: float) -> None:
            line.at(step, f"loss {loss:.3f}", f"{plan.name}: {stage}", steps)

        return resources.method.train(resources.base, data, generator, on_stage)


def _data(resources: Resources, plan: AdapterPlan) -> SubjectData | MotionData:
    """What an adapter is trained on."""
    entry, base, params = resources.catalog.entry(plan.role, plan.name), resources.base, resources.params.data
    if isinstance(entry, Motion):
        return load_motion(entry, base.frame_size, params.num_frames, params.fps)
    if base.unread_words(entry.class_word):
        console.print(
            Text(f"note: the base model does not know {plan.name}'s class word {entry.class_word!r}", "yellow")
        )
    return load_subject(entry, base.frame_size)


def preview(resources: Resources, plan: AdapterPlan, trained: Trained, folder: Path) -> Path:
    """Make a preview: of a subject, pictures in several places; of a motion, a clip for its first caption."""
    of_subject = plan.role is Role.SUBJECT
    subject, motion = (trained.tensors, None) if of_subject else (None, trained.tensors)
    generator = torch.Generator().manual_seed(seed_from(plan.key, "preview"))
    negative, path = resources.params.sampling.negative_prompt, folder / PREVIEWS[plan.role]
    with resources.method.composed(resources.base, subject, motion, None) as encode, torch.no_grad():
        if of_subject:
            frames = [_sample(resources, encode([negative, prompt]), generator, 1) for prompt in PREVIEW_PROMPTS]
            _save_png(torch.cat(frames), path)
        else:
            caption = resources.catalog.motion(plan.name).clips[0].caption
            write_clip(path, _sample(resources, encode([negative, caption]), generator), resources.params.data.fps)
    return path


def _sample(
    resources: Resources, text: torch.Tensor, generator: torch.Generator, num_frames: int | None = None
) -> torch.Tensor:
    """Sample one clip as bytes (F, 3, S, S)."""
    frames = num_frames or resources.params.data.num_frames
    latents = sample_latents(resources.base, text, resources.params.sampling, generator, frames)
    return to_bytes(resources.base.decode_latents(latents)[0]).cpu()


def to_bytes(frames: torch.Tensor) -> torch.Tensor:
    """Frames in [-1, 1] as bytes."""
    return ((frames.clamp(-1, 1) + 1) * 127.5).round().byte()


def _save_png(frames: torch.Tensor, path: Path) -> None:
    """Save frames (F, 3, S, S) side by side."""
    from PIL import Image

    Image.fromarray(frames.permute(2, 0, 3, 1).flatten(1, 2).numpy()).save(path)
