"""Turn any mask into white on black, and refuse what could be read in two ways.

Shapes: H W pixels.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from dreamvideo.dataset.images import open_image, to_rgb
from dreamvideo.dataset.importing.images import Size
from dreamvideo.dataset.rules import LEAST_FOREGROUND, MASK_SHAPE_TOLERANCE
from dreamvideo.errors import InputError

VOID = 255  # the index that Pascal VOC and its kin give to the borders of objects
FEW_LEVELS = 8  # a picture with as many grey levels at most was drawn level by level
DARK = 16  # where the brightest is darker than this, levels are numbers of objects, or noise
NEAR = 0.1  # share of the brightest level by which a level may differ from black or from the brightest
PLATEAU = 0.01  # share of the pixels that makes a grey between black and white an object of its own


def write_mask(source: Path, target: Path, image: Path, before: Size, after: Size) -> None:
    """Write a mask as white on black, as large as its image is now.

    Args:
        source: the mask, as large as its image was or has become.
        target: the PNG to write.
        image: the image, as errors name it.
        before: the image's size before, upright.
        after: the image's size now.

    Raises:
        InputError: the file is unreadable, of another shape than its image, or marks more than one object.
    """
    mask = open_image(source, "mask")
    if abs(mask.width * before[1] / (mask.height * before[0]) - 1) > MASK_SHAPE_TOLERANCE:
        raise InputError(
            f"mask {source} is {_by(mask.size)}, its image {image} is {_by(before)}; export the mask in its image's shape"
        )
    try:
        foreground = Image.fromarray(_foreground(mask).astype(np.uint8) * 255)
    except ValueError as error:
        raise InputError(f"mask {source} {error}; export it with the subject white and all else black") from error
    sized = foreground.resize(after, Image.Resampling.BOX).point(lambda value: 255 if value > 127 else 0)
    target.parent.mkdir(parents=True, exist_ok=True)
    sized.save(target)


def looks_inverted(path: Path) -> bool:
    """Whether a mask of the dataset covers the border of its picture, and not the middle."""
    white = np.asarray(open_image(path, "mask").convert("L")) > 127
    height, width = white.shape
    border = np.concatenate((white[0], white[-1], white[:, 0], white[:, -1]))
    middle = white[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
    return bool(border.mean() > 0.5 > middle.mean())


def _foreground(mask: Image.Image) -> np.ndarray:
    """Where the subject is (H, W): what is opaque in a cut-out, the one index of a palette, or what is bright."""
    if mask.has_transparency_data:
        alpha = np.asarray(mask.convert("RGBA").getchannel("A"))
        if (alpha <= 127).mean() >= LEAST_FOREGROUND:
            return alpha > 127
        if mask.mode != "P":  # some lone pixels are no cut-out
            mask = mask.convert("RGBA").convert("RGB")
    if mask.mode == "P" and not _is_grey(mask):
        index = np.asarray(mask)
        return _single(index, [level for level in np.unique(index) if level not in (0, VOID)])
    return _bright(np.asarray(to_rgb(mask).convert("L")))


def _is_grey(mask: Image.Image) -> bool:
    """Whether a palette has greys only, so that its colours say what is bright."""
    colours = np.asarray(mask.convert("RGB")).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _bright(grey: np.ndarray) -> np.ndarray:
    """What is nearer to the brightest value than to black, where there is nothing between."""
    levels = np.unique(grey)
    peak = int(levels[-1])
    if peak < DARK:
        return _single(grey, [level for level in levels if level > 0])
    # Areas of one grey count, and not edges, whose neighbours above or beside are brighter or darker.
    across, down = (np.abs(np.diff(grey.astype(np.int16), axis=axis)) <= 2 for axis in (1, 0))
    areas = np.bincount(grey[:-1, :-1][across[:-1] & down[:, :-1]], minlength=256) / grey.size
    several = [
        level
        for level in range(int(NEAR * peak) + 1, int((1 - NEAR) * peak))
        if areas[max(0, level - 2) : level + 3].sum() >= PLATEAU
    ]
    if len(levels) <= FEW_LEVELS:
        several += [level for level in range(1, peak) if areas[level] >= LEAST_FOREGROUND]
    if several:
        return _single(grey, [level for level in levels if level in several or level == peak])
    return grey > peak / 2


def _single(values: np.ndarray, found: list[int]) -> np.ndarray:
    """Where the only value is; nowhere if there is none."""
    if len(found) > 1:
        shown = ", ".join(str(int(value)) for value in found[:5])
        raise ValueError(
            f"has the values {shown}{' and more' if len(found) > 5 else ''} beside 0, which are several objects"
        )
    return values == found[0] if found else np.zeros(values.shape, bool)


def _by(size: Size) -> str:
    return "{}x{}".format(*size)
