"""What tests of imports share: entries of made-up files, and where they go."""

from dreamvideo.dataset.importing.entries import NewMotion, NewSubject
from dreamvideo.dataset.importing.files import Original, find_images, pair_masks
from dreamvideo.files import sha256_file
from dreamvideo.params import DataParams


def at(root):
    """A dataset there, that must be as NEED says."""
    return DataParams(root=root, subjects=1, motions=1, image_size=32, num_frames=8, fps=8.0)


def originals(*paths):
    return tuple(Original(path, path.name) for path in paths)


def subject(folder, masks=None, **fields):
    images = find_images(folder).files
    paired = pair_masks(images, find_images(masks).files) if masks else ()
    given = {
        "name": "toy",
        "class_word": "stuffed animal",
        "kind": "object",
        "source": "a camera",
        "licence": "CC0-1.0",
    }
    return NewSubject.of(images=originals(*images), masks=originals(*paired), **(given | fields))


def motion(*clips, **fields):
    given = {"name": "glow", "words": "glowing", "captions": ("a lamp is glowing",), "kind": "lamp", "fps": None}
    return NewMotion.of(clips=originals(*clips), **(given | {"source": "a camera", "licence": "CC0-1.0"} | fields))


def tree(root):
    """Every file of a folder, hidden ones too, with its hash."""
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in root.rglob("*") if path.is_file()}
