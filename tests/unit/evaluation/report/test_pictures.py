import xml.etree.ElementTree as ElementTree

import pandas
import pytest
import torch
from PIL import Image, ImageSequence

from dreamvideo.dataset.clips import write_clip
from dreamvideo.errors import InputError
from evaluation.metrics import METRICS
from evaluation.report.pictures import GAP, LINE, SIDE, Shown, animation, contact_sheet, heat_map_picture
from evaluation.report.sections.heat_map import heat_map

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def clip(path, frames, fps):
    """Frames that go from black to white, each of one grey."""
    grey = torch.linspace(0, 255, frames).round().to(torch.uint8)
    write_clip(path, grey[:, None, None, None].expand(-1, 3, 64, 64), fps)
    return path


@pytest.fixture
def shown(tmp_path):
    Image.new("RGB", (60, 30), RED).save(tmp_path / "dog.png")
    return Shown("dog", tmp_path / "dog.png", clip(tmp_path / "walk.mp4", 16, 16), clip(tmp_path / "made.mp4", 8, 8))


def near(pixel, colour):
    return all(abs(a - b) < 24 for a, b in zip(pixel[:3], colour, strict=True))


def test_an_animation_shows_reference_clip_and_video_frame_by_frame(shown, tmp_path):
    animation(shown, tmp_path / "best.webp")
    with Image.open(tmp_path / "best.webp") as film:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
        assert film.info["loop"] == 0
    assert len(frames) == 8 and frames[0].size == (3 * SIDE + 2 * GAP, SIDE)
    middle = [SIDE // 2 + place * (SIDE + GAP) for place in range(3)]
    for frame in frames:
        assert near(frame.getpixel((middle[0], SIDE // 2)), RED)
        assert near(frame.getpixel((middle[0], 4)), WHITE), "an image that is no square is whole"
    # The clip has twice the rate of the video: every other of its frames, black to nearly white.
    assert [round(frame.getpixel((middle[2], 9))[0] / 36.4) for frame in frames] == list(range(8))
    assert abs(frames[-1].getpixel((middle[1], 9))[0] - 255 * 14 / 15) < 12


def test_a_contact_sheet_has_a_block_for_each(shown, tmp_path):
    contact_sheet([shown] * 3, tmp_path / "sheet.webp")
    with Image.open(tmp_path / "sheet.webp") as opened:
        sheet = opened.convert("RGB")
    width, height = SIDE + GAP + 8 * SIDE // 2 + GAP, LINE + SIDE + GAP
    assert sheet.size == (2 * width + GAP, 2 * height + GAP)
    blocks = [
        (GAP + column * width + SIDE // 2, GAP + row * height + LINE + SIDE // 2) for row in (0, 1) for column in (0, 1)
    ]
    assert [near(sheet.getpixel(place), RED) for place in blocks] == [True, True, True, False]


def test_a_missing_video_is_named(shown, tmp_path):
    (tmp_path / "made.mp4").unlink()
    with pytest.raises(InputError, match=r"made\.mp4"):
        animation(shown, tmp_path / "best.webp")
    assert not (tmp_path / "best.webp").exists()


def test_a_heat_map_names_and_colours_every_known_crossing(tmp_path):
    table = pandas.DataFrame(
        [("a<b", "up", "finished", 0.0), ("a<b", "down", "finished", 1.0), ("c", "up", "failed", float("nan"))],
        columns=["subject", "motion", "status", "clip_t"],
    )
    drawn = heat_map(table, METRICS["clip_t"], ["a<b", "c"], ["up", "down"])
    heat_map_picture(drawn, ["a<b", "c"], ["up", "down"], tmp_path / "map.svg")
    root = ElementTree.parse(tmp_path / "map.svg").getroot()
    space = {"s": "http://www.w3.org/2000/svg"}
    titles = {rect.findtext("s:title", "", space): rect.get("fill") for rect in root.findall("s:rect", space)[1:]}
    print_ = METRICS["clip_t"].print
    assert titles == {f"a<b × up: {print_(0.0)}": "#440154", f"a<b × down: {print_(1.0)}": "#fde725"}
    assert {"up", "down", "a<b", "c"} <= {text.text for text in root.findall("s:text", space)}
