"""Generate one video outside a benchmark. Its keys and its noise are those of a benchmark's cell.

With the same number of threads the video has the same bytes.
"""

from pathlib import Path

import torch

from dreamvideo.base_models import describe_base_model
from dreamvideo.errors import InputError
from dreamvideo.params import Params
from dreamvideo.weights import check_fit, read_weights
from flows.execution.adapters import OnTrained, ensure_adapter
from flows.execution.cells import Tensors, generate_video, load_adapter
from flows.execution.data_gate import pass_gate
from flows.execution.resources import Resources
from flows.planning.keys import AdapterPlan
from flows.planning.selection import check_generate


def generate(
    params: Params, subject: str, motion: str, prompt: str, seed: int, path: Path,
    subject_weights: Path | None, motion_weights: Path | None, on_trained: OnTrained,
) -> list[str]:  # fmt: skip
    """Generate a video of a subject doing a motion.

    Args:
        params: of the profile.
        subject: name in the catalog.
        motion: name in the catalog.
        prompt: with ``*`` for the subject.
        seed: another seed gives another video.
        path: the mp4 file to write, whole or not at all.
        subject_weights: a file of weights; None takes the trained adapter, or trains the subject if there is none.
        motion_weights: the same for the motion.
        on_trained: called for each adapter that is trained.

    Returns:
        Things that the user should know, such as the words that the base model does not know.

    Raises:
        InputError: an unknown name, a prompt without a placeholder, an output that is no mp4 or cannot be written, data
            that does not pass the gate, weights that are absent or damaged, or of another method, base model, shape or
            placement.
    """
    resources = Resources(params)
    check_generate(resources.catalog, subject, motion, prompt, path)
    entries = resources.catalog.subject(subject), resources.catalog.motion(motion)
    wanted = [resources.keys.adapter(entry) for entry in entries]
    plan = resources.keys.video(subject, motion, prompt, seed, *(adapter.key for adapter in wanted))
    pass_gate(params, counted=False)  # before anything is trained
    files = (subject_weights, "--subject-weights"), (motion_weights, "--motion-weights")
    # Read first, so that a bad file is refused before anything is trained.
    given = [_read(resources, plan, *file) for plan, file in zip(wanted, files, strict=True)]
    pairs = zip(wanted, given, strict=True)
    identity, movement = (
        _trained(resources, adapter, on_trained) if tensors is None else tensors for adapter, tensors in pairs
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    generate_video(resources, plan, identity, movement, path)
    unread = ", ".join(map(repr, resources.base.unread_words(prompt)))
    return [f"these words had no effect, as the base model does not know or not reach them: {unread}"] if unread else []


def _read(resources: Resources, plan: AdapterPlan, path: Path | None, option: str) -> Tensors | None:
    """The weights in a file, which must be of this kind, method, base model, shape and placement."""
    if path is None:
        return None
    # Any recipe will do. The base model takes long to load, so its files identify it.
    expected = {"method": resources.method.name, "kind": plan.role, "base_model": resources.keys.base_model}
    tensors, schema = read_weights(path, f"give {option} a whole file that was trained or imported", **expected)
    method, base = resources.method, describe_base_model(resources.params.base_model)
    with torch.device("meta"):
        module = method.module(plan.role, base)
    check_fit(module, tensors, path)
    placement, trained = method.recipe(plan.role).get("placement"), schema.get("recipe", {}).get("placement")
    if trained is not None and trained != placement:
        raise InputError(
            f"{path}: it was trained with placement {trained!r}, but {placement!r} is set; "
            f"set methods.{method.name}.placement to {trained!r}, or give {option} another file"
        )
    return tensors


def _trained(resources: Resources, plan: AdapterPlan, on_trained: OnTrained) -> Tensors:
    return load_adapter(resources, plan, ensure_adapter(resources, plan, on_trained)[0])
