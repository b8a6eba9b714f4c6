"""Train adapters: one MLflow run each, with its loss curve and previews, found again by key."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from prefect import task
from rich.text import Text

from dreamvideo.dataset.catalog import Motion, Subject
from dreamvideo.dataset.clips import check_length, read_clip, resize_frames, write_clip
from dreamvideo.dataset.images import open_image, read_image, read_mask
from dreamvideo.files import seed_from
from dreamvideo.memory import memory_explained, training_remedy
from dreamvideo.methods.contract import MotionData, SubjectData, Trained
from dreamvideo.params import ExecutionParams, Params
from dreamvideo.sample import sample_latents
from dreamvideo.weights import save_weights
from flows.claims import Taken, claimed, made_once
from flows.gate import pass_gate
from flows.plan import AdapterPlan
from flows.progress import bar, console
from flows.registration import register_adapter
from flows.tracking import flatten
from flows.workbench import Workbench, workbench

KIND = "adapter"
PREVIEW_PROMPTS = ("a * on the beach", "a * in the meadow", "a * at night", "a * in the room")


@task(name="train-adapter", task_run_name="{plan.kind} {plan.name}")
def train_adapter_task(params_json: str, plan: AdapterPlan) -> str | None:
    """Train one adapter; returns the id of its run, or None if another worker has it."""
    with suppress(Taken):
        return train_adapter(workbench(params_json), plan)


def train_adapter(bench: Workbench, plan: AdapterPlan) -> str:
    """Train one adapter and record it; returns the id of its run.

    Raises:
        Taken: another worker has it.
    """
    recipes = {"identity": bench.method.subject_recipe, "motion": bench.method.motion_recipe}
    train = {"identity": _train_identity, "motion": _train_motion}[plan.kind]
    tags = bench.provenance | {"dreamvideo.adapter": plan.kind, "dreamvideo.name": plan.name}
    with (
        claimed(bench.tracking, KIND, f"{plan.kind} {plan.name}", plan.key, tags) as record,
        tempfile.TemporaryDirectory() as folder,
        threads_of_a_worker(bench.params.execution),
    ):
        bench.verify(plan)
        record.params |= flatten(recipes[plan.kind]()) | {
            "method": bench.method.name,
            "base_model": bench.base.key[:12],
        }
        with memory_explained(f"training {plan.kind} {plan.name}", training_remedy(bench.params.compute)):
            trained, previews = train(bench, plan, Path(folder))
        record.params["parameters"] = sum(tensor.numel() for tensor in trained.tensors.values())
        record.curves |= {f"loss.{stage}": dict(enumerate(curve, start=1)) for stage, curve in trained.losses.items()}
        path = Path(folder) / "adapter.safetensors"
        save_weights(
            path, trained.tensors, adapter_schema(bench, plan) | {"name": plan.name, "recipe": recipes[plan.kind]()}
        )
        bench.tracking.keep(record, path)
        bench.tracking.attach(record.run_id, *previews)
    return record.run_id


@contextmanager
def threads_of_a_worker(execution: ExecutionParams) -> Iterator[None]:
    """As many threads as a worker of the profile has: an adapter's last bits depend on them, whatever command trains it."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if execution.runner == "local" else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def ensure_adapter(bench: Workbench, plan: AdapterPlan) -> tuple[str, bool]:
    """The run id of an adapter, trained now if it was not before; and whether it was trained now."""
    run_id, now = made_once(lambda: train_adapter(bench, plan))
    if now:
        register_adapter(bench, plan, run_id)
    return run_id, now


def customize(params: Params, kind: str, name: str) -> tuple[str, bool]:
    """Train the adapter of one subject ("identity") or one motion ("motion"), as :func:`ensure_adapter` does.

    Raises:
        InputError: an unknown name, or data that does not pass the gate.
    """
    bench = Workbench(params)
    plan = (
        bench.keys.identity(bench.catalog.subject(name))
        if kind == "identity"
        else bench.keys.motion(bench.catalog.motion(name))
    )
    pass_gate(params, counted=False)
    return ensure_adapter(bench, plan)


def adapter_schema(bench: Workbench, plan: AdapterPlan) -> dict:
    """What a weight file must say of itself to be used for this plan; a name may change, the content may not."""
    return {"method": bench.method.name, "kind": plan.kind, "base_model": bench.base.key, "key": plan.key}


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
        check_length(motion.name, clip.path, len(frames), rate, num_frames, fps)
    return MotionData(
        clips=[resize_frames(frames, size) for frames, _ in clips],
        captions=[clip.caption for clip in motion.clips],
        fps=[rate for _, rate in clips],
        num_frames=num_frames,
        target_fps=fps,
    )


def _train_identity(bench: Workbench, plan: AdapterPlan, folder: Path) -> tuple[Trained, list[Path]]:
    data = load_subject(bench.catalog.subject(plan.name), bench.base.frame_size)
    if bench.base.unread_words(data.class_word):
        console.print(
            Text(f"note: the base model does not know {plan.name}'s class word {data.class_word!r}", "yellow")
        )
    trained = _with_progress(plan, lambda generator, on: bench.method.train_subject(bench.base, data, generator, on))
    preview = folder / "preview.png"
    generator = torch.Generator().manual_seed(seed_from(plan.key, "preview"))
    with bench.method.composed(bench.base, trained.tensors, None, None) as encode, torch.no_grad():
        frames = [_sample(bench, encode([bench.params.sampling.negative_prompt, prompt]), generator, 1)
                  for prompt in PREVIEW_PROMPTS]  # fmt: skip
    _save_png(torch.cat(frames), preview)
    return trained, [preview]


def _train_motion(bench: Workbench, plan: AdapterPlan, folder: Path) -> tuple[Trained, list[Path]]:
    params = bench.params.data
    data = load_motion(bench.catalog.motion(plan.name), bench.base.frame_size, params.num_frames, params.fps)
    trained = _with_progress(plan, lambda generator, on: bench.method.train_motion(bench.base, data, generator, on))
    preview = folder / "preview.mp4"
    generator = torch.Generator().manual_seed(seed_from(plan.key, "preview"))
    with bench.method.composed(bench.base, None, trained.tensors, None) as encode, torch.no_grad():
        text = encode([bench.params.sampling.negative_prompt, data.captions[0]])
        write_clip(preview, _sample(bench, text, generator), params.fps)
    return trained, [preview]


def _with_progress(plan: AdapterPlan, train) -> Trained:
    """Run a training with a seed that follows from its key, and a line of progress."""
    generator = torch.Generator().manual_seed(seed_from(plan.key, "training"))
    with bar(f"{plan.kind} {plan.name}") as line:
        return train(
            generator,
            lambda stage, step, steps, loss: line.at(step, f"loss {loss:.3f}", f"{plan.name}: {stage}", steps),
        )


def _sample(
    bench: Workbench, text: torch.Tensor, generator: torch.Generator, num_frames: int | None = None
) -> torch.Tensor:
    """Sample one clip as bytes (F, 3, S, S)."""
    frames = num_frames or bench.params.data.num_frames
    latents = sample_latents(bench.base, text, bench.params.sampling, generator, frames)
    return to_bytes(bench.base.decode_latents(latents)[0]).cpu()


def to_bytes(frames: torch.Tensor) -> torch.Tensor:
    """Frames in [-1, 1] as bytes."""
    return ((frames.clamp(-1, 1) + 1) * 127.5).round().byte()


def _save_png(frames: torch.Tensor, path: Path) -> None:
    """Save frames (F, 3, S, S) side by side."""
    from PIL import Image

    Image.fromarray(frames.permute(2, 0, 3, 1).flatten(1, 2).numpy()).save(path)
