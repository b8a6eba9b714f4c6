"""Generate one video outside a benchmark, with the same keys and so the same result as inside."""

from pathlib import Path

from dreamvideo.dataset.catalog import check_prompt, verify_files
from dreamvideo.errors import InputError
from dreamvideo.params import Params
from flows.cells import generate_video
from flows.customize import ensure_adapter, load_motion, load_subject
from flows.workbench import Workbench


def generate(params: Params, subject: str, motion: str, prompt: str, seed: int, path: Path) -> list[str]:
    """Generate a video of a subject doing a motion.

    Args:
        params: of the profile.
        subject: name in the catalog.
        motion: name in the catalog.
        prompt: with ``*`` for the subject.
        seed: another one gives another video.
        path: the mp4 file to write, whole or not at all.

    Returns:
        Things the user should know, such as words that the base model does not.

    Raises:
        InputError: an unknown name, a prompt without a placeholder, an output that is no mp4.
    """
    if path.suffix != ".mp4":
        raise InputError(f"--out is {str(path)!r}; give a file name that ends in .mp4")
    check_prompt(prompt)
    if "{" in prompt:
        raise InputError(
            f"prompt {prompt!r} has a field that is not filled in; write the words, as in 'a * is jumping'"
        )
    bench = Workbench(params)
    plan = bench.keys.cell(bench.catalog.subject(subject), bench.catalog.motion(motion), prompt, seed)
    verify_files(bench.catalog)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out is {str(path)!r}, but its folder cannot be made ({error}); choose another") from error
    data, size = params.data, bench.base.frame_size
    load_subject(bench.catalog.subject(subject), size)  # refuses bad files before anything is trained
    load_motion(bench.catalog.motion(motion), size, data.num_frames, data.fps)
    adapters = {}
    for wanted in (
        bench.keys.identity(bench.catalog.subject(subject)),
        bench.keys.motion(bench.catalog.motion(motion)),
    ):
        adapters[wanted.key], _ = ensure_adapter(bench, wanted)
    generate_video(bench, plan, adapters, path)
    unread = ", ".join(map(repr, bench.base.unread_words(prompt)))
    return [f"these words had no effect, as the base model does not know or not reach them: {unread}"] if unread else []
