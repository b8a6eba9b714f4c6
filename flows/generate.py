"""Generate one video outside a benchmark, with the same keys and so the same noise: with as many threads, the same bytes."""

from pathlib import Path

from dreamvideo.params import Params
from dreamvideo.weights import read_weights
from flows.cells import Tensors, generate_video, load_adapter
from flows.customize import adapter_schema, ensure_adapter
from flows.gate import pass_gate
from flows.plan import AdapterPlan
from flows.request import check_generate
from flows.workbench import Workbench


def generate(
    params: Params, subject: str, motion: str, prompt: str, seed: int, path: Path,
    subject_weights: Path | None = None, motion_weights: Path | None = None,
) -> list[str]:  # fmt: skip
    """Generate a video of a subject doing a motion.

    Args:
        params: of the profile.
        subject: name in the catalog.
        motion: name in the catalog.
        prompt: with ``*`` for the subject.
        seed: another one gives another video.
        path: the mp4 file to write, whole or not at all.
        subject_weights: trained elsewhere; None trains the subject if it was not trained before.
        motion_weights: the same for the motion.

    Returns:
        Things the user should know, such as words that the base model does not.

    Raises:
        InputError: an unknown name, a prompt without a placeholder, an output that is no mp4 or cannot be written, data
            that does not pass the gate, weights of another method or base model.
    """
    bench = Workbench(params)
    check_generate(bench.catalog, subject, motion, prompt, path)
    wanted = bench.keys.identity(bench.catalog.subject(subject)), bench.keys.motion(bench.catalog.motion(motion))
    plan = bench.keys.video(subject, motion, prompt, seed, *(adapter.key for adapter in wanted))
    pass_gate(params, counted=False)  # before anything is trained
    files = subject_weights, motion_weights
    given = [_read(bench, *pair) for pair in zip(wanted, files, strict=True)]  # both, before anything is trained
    weights = [tensors or _trained(bench, adapter) for adapter, tensors in zip(wanted, given, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    generate_video(bench, plan, *weights, path)
    unread = ", ".join(map(repr, bench.base.unread_words(prompt)))
    return [f"these words had no effect, as the base model does not know or not reach them: {unread}"] if unread else []


def _read(bench: Workbench, plan: AdapterPlan, path: Path | None) -> Tensors | None:
    """The weights in a file, which must be of this kind, method and base model."""
    if path is None:
        return None
    expected = adapter_schema(bench, plan)
    del expected["key"]  # how it was trained is its own affair
    return read_weights(path, **expected)[0]


def _trained(bench: Workbench, plan: AdapterPlan) -> Tensors:
    return load_adapter(bench, plan, ensure_adapter(bench, plan)[0])
