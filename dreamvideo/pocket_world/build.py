"""Draw the dataset of the pocket world: subjects with exact masks, motions with exact trajectories, prompts.

Shapes: N frames, S pixels a side.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dreamvideo.dataset.catalog import CATALOG_NAME, Motion, Subject, load_catalog
from dreamvideo.dataset.clips import write_clip
from dreamvideo.dataset.prompts import Prompt
from dreamvideo.errors import InputError
from dreamvideo.files import replacing_folder, seed_from, sha256_file
from dreamvideo.pocket_world.cast import RESERVED, SUBJECTS
from dreamvideo.pocket_world.motions import TARGET_MOTIONS, TargetMotion
from dreamvideo.pocket_world.render import render
from dreamvideo.pocket_world.sampling import (
    SCENE_NAMES,
    Identity,
    Shot,
    draw_identity,
    draw_shot,
    frame_times,
    shots_to_frames,
)
from dreamvideo.pocket_world.vocabulary import CLASSES, MOTIONS, PETS, SCENES
from dreamvideo.yaml_files import Row, to_yaml

# The catalog records this name, so it is part of the data's keys. It stays, although the module has moved.
SOURCE = "dreamvideo.dataset.pocket_world"
LICENCE = "CC0-1.0"
SIZE = 256  # pixels a side
CLIP_FRAMES = 32
CLIP_FPS = 32.0

Progress = Callable[[str, int, int], None]


def build_dataset(
    root: Path,
    on_progress: Progress | None = None,
    subjects: Mapping[str, Identity] = SUBJECTS,
    motions: Mapping[str, TargetMotion] = TARGET_MOTIONS,
) -> None:
    """Draw the dataset and its catalog. Equal calls give equal bytes on one machine.

    Args:
        root: the folder to write. An earlier dataset of this function is replaced completely.
        on_progress: called with the name of the drawn entry, the number of finished entries, and the number of all.
        subjects: the subjects to draw, by name.
        motions: the motions to draw, by name.

    Raises:
        InputError: root holds files that this function did not write.
    """
    root = Path(root)
    _refuse_foreign_files(root)
    catalog: dict = {"subjects": {}, "motions": {}, "prompts": [prompt.model_dump() for prompt in prompts()]}
    with replacing_folder(root) as folder, _one_thread():
        for done, name in enumerate((*subjects, *motions), start=1):
            if done <= len(subjects):
                catalog["subjects"][name] = _write_subject(folder, name, subjects[name])
            else:
                catalog["motions"][name] = _write_motion(folder, name, motions[name])
            if on_progress:
                on_progress(name, done, len(subjects) + len(motions))
        (folder / CATALOG_NAME).write_text(to_yaml(catalog))


def subject_shots(name: str, identity: Identity) -> list[Shot]:
    """Four to six still shots of a subject, each in a different scene."""
    rng = random.Random(seed_from(name, "pocket world subject"))
    scenes = rng.sample(SCENE_NAMES, rng.randint(4, 6))
    return [draw_shot(rng, identity, scene, "still") for scene in scenes]


def motion_shots(name: str, motion: TargetMotion) -> list[Shot]:
    """One shot for each clip of a motion. Each has a different scene and a different identity outside the cast."""
    rng = random.Random(seed_from(name, "pocket world motion"))
    scenes = rng.sample(SCENE_NAMES, motion.clips)
    facing = next((side for way, side in (("right", 1), ("left", -1)) if motion.words.endswith(way)), None)
    shots = []
    for scene in scenes:
        shot = draw_shot(rng, draw_identity(rng, RESERVED), scene, "still")
        # Near the centre and not too large, so that the whole path stays visible.
        centre, size = (rng.uniform(-0.08, 0.08), rng.uniform(-0.04, 0.08)), rng.uniform(0.42, 0.48)
        shots.append(replace(shot, centre=centre, size=size, facing=facing or shot.facing))
    return shots


def clip_caption(shot: Shot, words: str) -> str:
    """The caption of a clip, in the words of the base model's captions."""
    return f"a {shot.identity.colour} {shot.identity.subject_class} is {words} {SCENES[shot.scene]}"


def prompts() -> list[Prompt]:
    """The 42 prompts: 10, 10, 10 and 12 of the four kinds."""
    scenes = tuple(SCENES.values())
    actions = ("moving", *(words for name, words in MOTIONS.items() if name != "still"))
    things = (*CLASSES, "red robot", "blue cat")
    texts = {
        "subject_motion": [f"a * is {action}" for action in actions],
        "subject_context": [f"a * {scene}" for scene in scenes]
        + [f"a * is {MOTIONS['still']} {scene}" for scene in scenes[:4]],
        "motion_context": [f"a {thing} is {{motion}} {scenes[i % 6]}" for i, thing in enumerate(things)],
        "subject_motion_context": [f"a * is {{motion}} {scene}" for scene in scenes]
        + [f"a * {{motion}} {scene}" for scene in scenes],
    }
    return [Prompt(text=text, kind=kind) for kind, lines in texts.items() for text in lines]


def _write_subject(folder: Path, name: str, identity: Identity) -> dict:
    """Draw a subject's images and masks; return its entry of the catalog."""
    rng = random.Random(seed_from(name, "pocket world pose"))
    shots = subject_shots(name, identity)
    poses = torch.tensor([[[0.0, 0.0, rng.uniform(-0.08, 0.08), rng.uniform(-0.15, 0.15)]] for _ in shots])
    pixels, cover = render(shots_to_frames(shots, poses), SIZE)
    images = [f"subjects/{name}/{index:02d}.png" for index in range(len(shots))]
    masks = [f"subjects/{name}/masks/{index:02d}.png" for index in range(len(shots))]
    for index in range(len(shots)):
        _write_png(folder / images[index], _to_bytes(pixels[index]).permute(1, 2, 0))
        _write_png(folder / masks[index], (cover[index, 0] >= 0.5).byte() * 255)
    return {
        "class_word": identity.subject_class,
        "kind": "pet" if identity.subject_class in PETS else "object",
        "images": images,
        "masks": masks,
        "source": SOURCE,
        "licence": LICENCE,
        "sha256": {path: sha256_file(folder / path) for path in (*images, *masks)},
        "truth": {
            "subject_class": identity.subject_class,
            "colour": identity.colour,
            "marking": identity.marking,
            "marking_colour": identity.marking_colour,
            "proportions": Row(identity.proportions),
        },
    }


def _write_motion(folder: Path, name: str, motion: TargetMotion) -> dict:
    """Draw a motion's clips; return its entry of the catalog."""
    poses = motion.path(frame_times(CLIP_FRAMES))
    clips = []
    for index, shot in enumerate(motion_shots(name, motion)):
        pixels, _ = render(shots_to_frames([shot], poses[None]), SIZE)
        path = f"motions/{name}/{index:02d}.mp4"
        write_clip(folder / path, _to_bytes(pixels), CLIP_FPS)
        clips.append({"path": path, "caption": clip_caption(shot, motion.words)})
    offsets = [[round(x, 4) + 0.0, round(y, 4) + 0.0] for x, y in poses[:, :2].double().tolist()]
    return {
        "words": motion.words,
        "kind": "trajectory",
        "clips": clips,
        "source": SOURCE,
        "licence": LICENCE,
        "sha256": {clip["path"]: sha256_file(folder / clip["path"]) for clip in clips},
        "truth": {"trajectory": Row(offsets)},
    }


def _to_bytes(pixels: Tensor) -> Tensor:
    """Convert [0, 1] to uint8."""
    return (pixels * 255).round().byte()


def _write_png(path: Path, pixels: Tensor) -> None:
    """Write (S, S, 3) or (S, S) uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.contiguous().numpy()).save(path, optimize=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Draw with one thread: then the order of additions, and so the last bit, never changes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _refuse_foreign_files(root: Path) -> None:
    """Refuse a folder with files that this module did not write."""
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    if not found:
        return
    written: set[str] = set()
    if CATALOG_NAME in found:
        written = {CATALOG_NAME}
        catalog = load_catalog(root)
        entries: list[Subject | Motion] = [*catalog.subjects.values(), *catalog.motions.values()]
        for entry in entries:
            written |= set(entry.sha256) if entry.source == SOURCE else set()
    foreign = sorted(found - written)
    if foreign:
        raise InputError(f"folder {root} holds {foreign[0]}, not of the pocket world; choose another folder")
