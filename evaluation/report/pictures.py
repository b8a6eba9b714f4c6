"""Pictures of a benchmark for pages without videos: contact sheets, animations, heat maps."""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from PIL import Image, ImageDraw, ImageFont

from dreamvideo.dataset.clips import read_clip
from dreamvideo.dataset.images import open_image
from dreamvideo.files import replacing

SIDE = 128  # pixels of a panel
LINE = 20  # height of a caption
GAP = 12
QUALITY = 85  # of WebP


@dataclass(frozen=True)
class Shown:
    """Three things to compare: the subject, the motion, and the video that should have both.

    Attributes:
        caption: one line.
        reference: an image of the subject.
        clip: of the motion.
        video: the generated one.
    """

    caption: str
    reference: Path
    clip: Path
    video: Path


def contact_sheet(shown: list[Shown], path: Path, columns: int = 2) -> None:
    """One image of many cells: the reference image, the frames of the motion's clip, and below them the video's frames.

    Raises:
        InputError: an image or a video cannot be read.
    """
    blocks = [_block(one) for one in shown]
    width, height = (max(block.size[axis] for block in blocks) + GAP for axis in (0, 1))
    rows = -(-len(blocks) // columns)
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), "white")
    for place, block in enumerate(blocks):
        row, column = divmod(place, columns)
        sheet.paste(block, (GAP + column * width, GAP + row * height))
    with replacing(path) as temporary:
        sheet.save(temporary, "WEBP", quality=QUALITY)


def animation(one: Shown, path: Path) -> None:
    """A short repeating film: the reference image, the motion's clip and the video, side by side.

    Raises:
        InputError: an image or a video cannot be read.
    """
    video, fps = _frames(one.video, SIDE)
    clip, _ = _frames(one.clip, SIDE, fps, len(video))
    reference = _panel(open_image(one.reference), SIDE)
    film = []
    for left, right in zip(clip, video, strict=False):
        frame = Image.new("RGB", (3 * SIDE + 2 * GAP, SIDE), "white")
        for place, panel in enumerate((reference, left, right)):
            frame.paste(panel, (place * (SIDE + GAP), 0))
        film.append(frame)
    with replacing(path) as temporary:
        film[0].save(
            temporary, "WEBP", quality=QUALITY, save_all=True, append_images=film[1:], duration=1000 / fps, loop=0
        )


def heat_map_picture(drawn: dict, subjects: list[str], motions: list[str], path: Path) -> None:
    """A map of :func:`evaluation.report.sections.heat_map.heat_map` as an SVG file."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    content = environment.get_template("heat_map.svg.j2").render(map=drawn, subjects=subjects, motions=motions)
    with replacing(path) as temporary:
        temporary.write_text(content)


def _block(one: Shown) -> Image.Image:
    half = SIDE // 2
    video, fps = _frames(one.video, half)
    clip, _ = _frames(one.clip, half, fps, len(video))
    block = Image.new("RGB", (SIDE + GAP + half * len(video), LINE + SIDE), "white")
    ImageDraw.Draw(block).text((0, 0), one.caption, "black", ImageFont.load_default(13))
    block.paste(_panel(open_image(one.reference), SIDE), (0, LINE))
    for row, frames in enumerate((clip, video)):
        for place, frame in enumerate(frames):
            block.paste(frame, (SIDE + GAP + half * place, LINE + half * row))
    return block


def _frames(
    path: Path, side: int, fps: float | None = None, most: int | None = None
) -> tuple[list[Image.Image], float]:
    """The frames of a clip as squares. For another rate, the nearest frames."""
    frames, own = read_clip(path)
    step = own / fps if fps else 1.0
    wanted = [round(place * step) for place in range(most or len(frames)) if round(place * step) < len(frames)]
    pictures = [Image.fromarray(frames[place].permute(1, 2, 0).numpy()) for place in wanted]
    return [_panel(picture, side) for picture in pictures], own


def _panel(image: Image.Image, side: int) -> Image.Image:
    """The whole image, centred in a square."""
    image = image.convert("RGB")
    scale = side / max(image.size)
    small = image.resize([max(1, round(length * scale)) for length in image.size], Image.Resampling.LANCZOS)
    panel = Image.new("RGB", (side, side), "white")
    panel.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return panel
