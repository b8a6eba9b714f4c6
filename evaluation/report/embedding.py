"""Files as data URIs, so that the report needs no other file."""

import base64
import io
from pathlib import Path
from typing import TypeGuard

from markupsafe import Markup
from PIL import Image, ImageOps, UnidentifiedImageError

from dreamvideo.errors import InputError

THUMBNAIL = (
    160  # pixels: the page shows reference images with 54 pixels, on screens with up to three device pixels each
)
VIDEO_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}


def playable(path: Path | None) -> TypeGuard[Path]:
    """Whether a browser plays files of this kind."""
    return path is not None and path.suffix.lower() in VIDEO_TYPES


def video_uri(path: Path) -> Markup:
    """A video file, unchanged.

    Raises:
        InputError: the file is not there.
    """
    if not path.is_file():
        raise InputError(f"video {path}: must exist; run the benchmark again, or leave the video out")
    return _data_uri(VIDEO_TYPES[path.suffix.lower()], path.read_bytes())


def image_uri(path: Path) -> Markup:
    """An image, scaled down to a thumbnail if it is larger, and without metadata.

    Raises:
        InputError: the file is not there or is not an image.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"image {path}: must be a readable image ({error})") from error
    small = max(image.size) <= THUMBNAIL
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    if small:
        image.save(stream, "PNG", optimize=True)
    else:
        image.save(stream, "JPEG", quality=85, optimize=True)
    return _data_uri("image/png" if small else "image/jpeg", stream.getvalue())


def _data_uri(media_type: str, content: bytes) -> Markup:
    # Base64 has no character that is markup in HTML.
    return Markup(f"data:{media_type};base64,{base64.b64encode(content).decode()}")
