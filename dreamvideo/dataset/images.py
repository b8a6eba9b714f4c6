"""Read a subject's images and foreground masks, whatever camera or editor wrote them.

Shapes: S pixels a side.
"""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from dreamvideo.errors import InputError

UNREADABLE = (OSError, SyntaxError, ValueError, ImageCms.PyCMSError)
SRGB = ImageCms.createProfile("sRGB")


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
            f"{what} {path} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels, which is the most that is read; "
            "shrink it, for instance to 4000 pixels a side"
        ) from error
    except UNREADABLE as error:
        raise _unreadable(path, what, error) from error


def read_rgb(path: Path) -> Image.Image:
    """Any picture as upright sRGB without a colour profile; transparency is laid on white.

    Raises:
        InputError: the file is missing, truncated, too large or not a picture, its pixels are fractions, or its colour
            profile is damaged or of other colours than the picture.
    """
    image = open_image(path)
    if image.mode == "F":  # nobody knows which value is white
        raise InputError(f"image {path} has fractions for pixels; export it as PNG or JPEG")
    try:
        return to_rgb(image)
    except UNREADABLE as error:
        raise _unreadable(path, "image", error) from error


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
    square = _centre_square(read_rgb(path))
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
    """Any mode to sRGB, by the picture's colour profile if it has one; transparency shows white, 16-bit grey keeps its range.

    Raises:
        ValueError: the profile is damaged, or of other colours than the picture.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.float64)
        image = Image.fromarray((grey / (257 if grey.max() > 255 else 1)).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        opaque = _in_srgb(rgba.convert("L" if image.mode in ("LA", "La", "L") else "RGB"), profile)
        opaque.putalpha(rgba.getchannel("A"))
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, opaque).convert("RGB")
    return _in_srgb(image, profile)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An opaque picture as RGB, without a profile."""
    if not profile:
        return image.convert("RGB")
    if image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        converted = ImageCms.profileToProfile(image, source, SRGB, intent, outputMode="RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError) as error:
        raise ValueError(f"its colour profile is damaged, or of other colours, {error}: export it as sRGB") from error
    assert converted is not None, "only a conversion in place returns nothing"
    converted.info.pop("icc_profile", None)
    return converted


def _unreadable(path: Path, what: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(f"{what} {path} cannot be read ({reason}); replace it with a whole PNG or JPEG file")


def _centre_square(image: Image.Image) -> Image.Image:
    """The largest centred square of an image."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
