"""Clips are read as a screen shows them, whatever camera, broadcaster or editor wrote them."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from dreamvideo.dataset.clips import clip_rate, probe_clip, read_clip, write_clip
from dreamvideo.dataset.importing.clips import read_any_clip
from tests.support.odd_files import combed, flat, write_planes, write_timeless, write_video

GREEN_601, GREEN_709 = (145, 54, 34), (173, 42, 26)  # Y, U, V of (0, 255, 0) in either matrix
BT601, BT709, BT2020 = 5, 1, 9
PQ, HLG = 16, 18
READERS = pytest.mark.parametrize("read", [read_clip, read_any_clip])


@READERS
@pytest.mark.parametrize(("aspect", "size"), [((16, 11), (94, 48)), ((8, 9), (64, 54)), ((1, 1), (64, 48))])
def test_pixels_become_square(tmp_path, read, aspect, size):
    """Broadcasts and DV have narrow or wide pixels."""
    tags = {"sample_aspect_ratio": Fraction(*aspect)}
    clip = write_video(tmp_path / "dv.mp4", codec="libx264", tags=tags)
    frames, _ = read(clip)
    assert abs(frames.shape[3] - size[0]) <= 2 and frames.shape[2] == size[1]
    assert frames[0, 0, 24, 10] > 200 > 60 > frames[0, 2, 24, 10]
    probed = probe_clip(clip)
    assert abs(probed.width - size[0]) <= 1 and probed.height == size[1] and probed.frames == 12


@READERS
def test_interlaced_clips_are_not_combed(tmp_path, read):
    clip = write_planes(tmp_path / "tv.mp4", list(combed()), options={"x264-params": "interlaced=1:tff=1"})
    raw, (frames, _) = torch.from_numpy(np.stack(list(combed()))), read(clip)
    assert len(frames) == len(raw) == probe_clip(clip).frames

    def combing(luma):
        """How much a line differs from the two around it, beyond what those differ from each other."""
        lines = luma.float()
        alternating = (lines[:, 1:-1] - (lines[:, :-2] + lines[:, 2:]) / 2).abs()
        return (alternating - (lines[:, :-2] - lines[:, 2:]).abs()).clamp(min=0).mean()

    assert combing(frames[1:-1].float().mean(1)) < 0.25 * combing(raw[1:-1, :48])


@READERS
@pytest.mark.parametrize(("trc", "code"), [(PQ, 0.58), (HLG, 0.75)])
def test_the_white_of_paper_is_white_in_hdr_clips(tmp_path, read, trc, code):
    planes = [flat(round(64 + 876 * code), 512, 512, dtype=np.uint16)] * 2
    tags = {"colorspace": BT2020, "color_trc": trc, "color_primaries": BT2020, "color_range": 1}
    clip = write_planes(tmp_path / "hdr.mp4", planes, "yuv420p10le", **tags)
    frames, _ = read(clip)
    assert frames.float().mean() > 235


@READERS
@pytest.mark.parametrize(
    ("size", "colour", "tags"),
    [
        ((64, 48), GREEN_601, {}),
        ((1280, 720), GREEN_709, {}),
        ((64, 48), GREEN_709, {"colorspace": BT709}),
        ((1280, 720), GREEN_601, {"colorspace": BT601}),
    ],
    ids=["untagged", "untagged HD", "tagged BT.709", "tagged BT.601 HD"],
)
def test_the_matrix_is_that_of_the_tag_or_of_the_size(tmp_path, read, size, colour, tags):
    clip = write_planes(tmp_path / "a.mp4", [flat(*colour, size)] * 2, **tags)
    red, green, blue = read(clip)[0][0].float().mean((1, 2)).tolist()
    assert red < 6 and green > 249 and blue < 6


def test_frames_that_stay_for_different_times_are_even_in_the_gate_and_in_training(tmp_path):
    clip = write_timeless(tmp_path / "a.mkv", lambda index: 300 * index if index < 6 else 1500 + 30 * (index - 5))
    frames, rate = read_clip(clip)
    assert probe_clip(clip).frames == len(frames) and (len(frames) - 1) / rate == pytest.approx(1.68, abs=1 / rate)


def test_what_the_project_writes_is_read_as_before(tmp_path):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (6, 3, 48, 64), dtype=np.uint8))
    write_clip(tmp_path / "a.mp4", pixels, 8)
    frames, rate = read_clip(tmp_path / "a.mp4")
    assert frames.shape == pixels.shape and rate == clip_rate(tmp_path / "a.mp4") == 8
