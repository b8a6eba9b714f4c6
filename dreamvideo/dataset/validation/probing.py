"""Look at every file of a dataset: one row of a table each, whatever is wrong with it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dreamvideo.dataset.catalog import Clip, Motion, Subject
from dreamvideo.dataset.clips import probe_clip
from dreamvideo.dataset.images import open_image, read_rgb
from dreamvideo.dataset.lookalikes import look, lookalikes
from dreamvideo.dataset.prompts import MOTION_SLOT, PLACEHOLDER, Prompt, count_placeholders
from dreamvideo.dataset.rules import MOTION_SLOT_KINDS, SUBJECT_FREE_KINDS, needed_frames
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file

Row = dict[str, Any]


def plain(entry: Subject | Motion) -> Row:
    """The fields of a subject or motion that a table can hold."""
    return {name: value for name, value in vars(entry).items() if isinstance(value, str)}


def _file_row(entry: Subject | Motion, path: Path, root: Path, probe: Callable[[], Row]) -> Row:
    """What every file's row has, and what ``probe`` finds in it if it can be read."""
    relative = path.relative_to(root).as_posix()
    row = {"owner": entry.name, "file": relative, "readable": True, "reason": "", "sha256": None}
    row |= {"catalog_sha256": entry.sha256[relative], "side": None, "width": None, "height": None}
    try:
        row |= {"sha256": sha256_file(path)} if path.is_file() else {}
        return row | probe()
    except (InputError, OSError) as error:
        return row | {"readable": False, "reason": str(error)}


def _sides(width: int, height: int) -> Row:
    return {"width": width, "height": height, "side": min(width, height)}


def image_row(subject: Subject, path: Path, root: Path) -> Row:
    """One image: its hash, size, mode and look."""

    def probe() -> Row:
        image = open_image(path)
        return _sides(*image.size) | {"mode": image.mode, "look": look(read_rgb(path))}

    return {"mode": None, "look": None} | _file_row(subject, path, root, probe)


def image_rows(subjects: Iterable[Subject], root: Path) -> list[Row]:
    """Every image, with the file of another subject that shows the same photo, though in other bytes."""
    rows = [image_row(subject, path, root) for subject in subjects for path in subject.images]
    found = lookalikes([row["owner"] for row in rows], [row["look"] for row in rows])
    for row, other in zip(rows, found, strict=True):
        twin = None if other is None else rows[other]
        row["lookalike"] = twin["file"] if twin and twin["sha256"] != row["sha256"] else ""
    return rows


def mask_row(subject: Subject, path: Path, image: Path, root: Path) -> Row:
    """One mask: its size beside its image's, mode, grey values and share of foreground."""

    def probe() -> Row:
        mask = open_image(path, "mask")
        values = np.asarray(mask.convert("L"))
        found = {
            "mode": mask.mode,
            "size": "{}x{}".format(*mask.size),
            "foreground": float((values > 127).mean()),
        }
        return _sides(*mask.size) | found | {"greys": int(((values > 0) & (values < 255)).sum())}

    row = {"mode": None, "size": None, "foreground": None, "greys": None}
    row |= _file_row(subject, path, root, probe)
    try:
        return row | {"image_size": "{}x{}".format(*open_image(image).size)}
    except (InputError, OSError):  # the image's own row says so
        return row | {"image_size": None}


def clip_row(motion: Motion, clip: Clip, root: Path, num_frames: int, fps: float) -> Row:
    """One clip: its size, length and rate, and how many frames it must have."""

    def probe() -> Row:
        found = probe_clip(clip.path)
        row = _sides(found.width, found.height) | {"frames": found.frames, "fps": found.fps}
        return row | {"needed": needed_frames(num_frames, found.fps, fps) if found.fps > 0 else None}

    row = {"frames": None, "fps": None, "needed": None, "caption": clip.caption}
    return row | _file_row(motion, clip.path, root, probe)


def prompt_row(prompt: Prompt) -> Row:
    """Placeholders that stand apart count; where none may be, every one does."""
    apart, all_of_them = count_placeholders(prompt.text), prompt.text.count(PLACEHOLDER)
    subject_free = prompt.kind in SUBJECT_FREE_KINDS
    return {
        "text": prompt.text,
        "kind": prompt.kind,
        "placeholders": all_of_them if subject_free or apart == all_of_them else 0,
        "wanted_placeholders": 0 if subject_free else 1,
        "slots": prompt.text.count(MOTION_SLOT),
        "wanted_slots": 1 if prompt.kind in MOTION_SLOT_KINDS else 0,
    }
