"""Read a subject's images and foreground masks, whatever camera or editor wrote them.

Shapes: S pixels a side.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dreamvideo.errors import InputError

UNREADABLE = (OSError, SyntaxError, ValueError)


def open_image(path: Path, what: str = "image") -> Image.Image:
    """Decode a picture whole, turned the way its EXIF data says.

    Raises:
        InputError: the file is missing, truncated, too large or not a picture.
    """
    if not path.is_file():
        raise InputError(f"{what} {path} does not exist; run `dreamvideo data pull`")
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:  # told by the header: nothing was decoded
        raise InputError(
            f"{what} {path} has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels, which is the most that is read; "
            "shrink it, for instance to 4000 pixels a side"
        ) from error
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{what} {path} cannot be read ({reason}); replace it with a whole PNG or JPEG file"
        ) from error


def read_image(path: Path, size: int) -> Tensor:
    """An image as models and metrics see it: centre-cropped to a square, resized bicubically, transparency laid on white.

    Args:
        path: any picture that Pillow reads.
        size: pixels a side of the result.

    Returns:
        (3, S, S) in [-1, 1].

    Raises:
        InputError: the file is missing, truncated or not a picture.
    """
    square = _centre_square(to_rgb(open_image(path)))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1).contiguous()


def read_mask(path: Path, size: int, expected: tuple[int, int]) -> Tensor:
    """A foreground mask, cropped and resized as its image is.

    Args:
        path: a picture in which the foreground is lighter than mid-grey.
        size: pixels a side of the result.
        expected: width and height in pixels of the mask's image.

    Returns:
        (1, S, S), 1 in the foreground and 0 elsewhere.

    Raises:
        InputError: the file is missing, unreadable, or not as large as its image.
    """
    mask = open_image(path, "mask")
    if mask.size != tuple(expected):
        found, wanted = ("x".join(map(str, size)) for size in (mask.size, expected))
        raise InputError(f"mask {path} is {found}, its image is {wanted}; export the mask at the image's size")
    square = _centre_square(mask.convert("L").point(lambda value: 255 if value > 127 else 0))
    cover = np.asarray(square.resize((size, size), Image.Resampling.BOX), dtype=np.float32)
    return torch.from_numpy(cover > 127).float()[None]


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB; transparency shows white, 16-bit grey keeps its range."""
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.float64)
        image = Image.fromarray((grey / (257 if grey.max() > 255 else 1)).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _centre_square(image: Image.Image) -> Image.Image:
    """The largest centred square of an image."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
