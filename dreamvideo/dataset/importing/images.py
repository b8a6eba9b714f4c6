"""Turn any picture into what the dataset holds: upright sRGB, as PNG."""

from pathlib import Path

from PIL import Image

from dreamvideo.dataset.images import read_rgb
from dreamvideo.dataset.rules import LONGER_SIDE

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
