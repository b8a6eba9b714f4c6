"""Turn any picture into what the dataset holds: upright RGB or a black and white mask, as PNG."""

from pathlib import Path

import numpy as np
from PIL import Image

from dreamvideo.dataset.images import open_image, read_rgb, to_rgb
from dreamvideo.dataset.rules import LONGER_SIDE, MASK_SHAPE_TOLERANCE
from dreamvideo.errors import InputError

Size = tuple[int, int]  # width and height in pixels


def write_image(source: Path, target: Path) -> tuple[Size, Size]:
    """Write an image as an upright RGB PNG of at most LONGER_SIDE pixels a side, transparency laid on white.

    Returns:
        Its size before, upright, and after.

    Raises:
        InputError: the file is unreadable or too large.
    """
    image = read_rgb(source)
    before = image.size
    image.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
    target.parent.mkdir(parents=True, exist_ok=True)
    image.save(target)
    return before, image.size


def write_mask(source: Path, target: Path, image: Path, before: Size, after: Size) -> None:
    """Write a mask as white on black, as large as its image is now.

    The foreground is what is opaque where the mask has transparency, otherwise what is nearer to its brightest
    value than to black: 0 and 1 will do as well as 0 and 255.

    Args:
        source: the mask, as large as its image was or has become.
        target: the PNG to write.
        image: the image, as errors name it.
        before: the image's size before, upright.
        after: the image's size now.

    Raises:
        InputError: the file is unreadable, or of another shape than its image.
    """
    mask = open_image(source, "mask")
    if abs(mask.width * before[1] / (mask.height * before[0]) - 1) > MASK_SHAPE_TOLERANCE:
        raise InputError(
            f"mask {source} is {_by(mask.size)}, its image {image} is {_by(before)}; export the mask in its image's shape"
        )
    alpha = mask.convert("RGBA").getchannel("A") if mask.has_transparency_data else None
    cut_out = alpha is not None and alpha.getextrema()[0] < 255
    grey = np.asarray(alpha if cut_out else to_rgb(mask).convert("L"))
    foreground = Image.fromarray((grey > grey.max() / 2).astype(np.uint8) * 255)
    sized = foreground.resize(after, Image.Resampling.BOX).point(lambda value: 255 if value > 127 else 0)
    target.parent.mkdir(parents=True, exist_ok=True)
    sized.save(target)


def _by(size: Size) -> str:
    return "{}x{}".format(*size)
