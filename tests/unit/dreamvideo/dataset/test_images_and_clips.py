from itertools import pairwise

import av
import numpy as np
import pytest
import torch
from PIL import Image

from dreamvideo.dataset.clips import (
    clip_rate,
    probe_clip,
    read_clip,
    resize_frames,
    sample_window,
    write_clip,
)
from dreamvideo.dataset.images import read_image, read_mask
from dreamvideo.dataset.rules import check_timing, needed_frames, window
from dreamvideo.errors import InputError


def halves(width: int, height: int) -> np.ndarray:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    return pixels


def smooth_frames(count: int, size: int = 64) -> torch.Tensor:
    x = torch.linspace(0, 255, size)
    frame = torch.stack((x.expand(size, size), x[:, None].expand(size, size), torch.full((size, size), 90.0)))
    return torch.stack([(frame + 3 * index).clamp(0, 255) for index in range(count)]).byte()


def test_read_image_crops_and_scales(tmp_path):
    Image.fromarray(halves(40, 20)).save(tmp_path / "wide.png")
    image = read_image(tmp_path / "wide.png", 10)
    assert image.shape == (3, 10, 10) and image.dtype == torch.float32
    assert torch.equal(image[:, 5, 0], torch.tensor([1.0, -1.0, -1.0]))
    assert torch.equal(image[:, 5, 9], torch.tensor([-1.0, -1.0, 1.0]))


def test_read_image_resizes_bicubically(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    signal = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    expected = torch.nn.functional.interpolate(signal, (16, 16), mode="bicubic", antialias=True)[0].clamp(-1, 1)
    assert (read_image(tmp_path / "noise.png", 16) - expected).abs().max() < 2 / 127.5


def test_read_image_follows_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: the left becomes the top
    Image.fromarray(halves(20, 20)).save(tmp_path / "turned.png", exif=exif)
    image = read_image(tmp_path / "turned.png", 20)
    assert image[0, 0, 10] == 1 and image[2, 19, 10] == 1


def test_read_image_lays_transparency_on_white(tmp_path):
    Image.fromarray(np.zeros((8, 8, 4), dtype=np.uint8)).save(tmp_path / "clear.png")
    assert torch.equal(read_image(tmp_path / "clear.png", 8), torch.ones(3, 8, 8))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_read_image_takes_any_mode(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 65535, dtype=np.uint16))
    else:
        image = Image.new("RGB", (8, 8), "white").convert(mode)
    image.save(tmp_path / "any.png")
    assert torch.equal(read_image(tmp_path / "any.png", 4), torch.ones(3, 4, 4))


def test_read_image_errors(tmp_path):
    with pytest.raises(InputError, match=r"none.png does not exist; run `dreamvideo data pull`"):
        read_image(tmp_path / "none.png", 8)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match=r"text.png cannot be read .*; replace it"):
        read_image(tmp_path / "text.png", 8)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cut.png cannot be read .*; replace it"):
        read_image(tmp_path / "cut.png", 8)


def test_read_mask(tmp_path):
    mask = np.zeros((20, 40), dtype=np.uint8)
    mask[:, :20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    read = read_mask(tmp_path / "mask.png", 10, expected=(40, 20))
    assert read.shape == (1, 10, 10) and torch.equal(read[0, 0], torch.tensor([1.0] * 5 + [0.0] * 5))
    with pytest.raises(InputError, match=r"mask.png is 40x20, its image is 40x30; export the mask"):
        read_mask(tmp_path / "mask.png", 10, expected=(40, 30))


def test_clips_survive_and_repeat(tmp_path):
    frames = smooth_frames(12)
    write_clip(tmp_path / "a.mp4", frames, 8)
    for _ in range(40):  # one in ten differed where the encoder was not repeatable
        write_clip(tmp_path / "b.mp4", frames, 8)
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    read, fps = read_clip(tmp_path / "a.mp4")
    assert read.shape == frames.shape and read.dtype == torch.uint8 and fps == 8
    assert (read.float() - frames.float()).abs().mean() < 2
    probe = probe_clip(tmp_path / "a.mp4")
    assert (probe.frames, probe.fps, probe.width, probe.height) == (12, 8, 64, 64)
    assert clip_rate(tmp_path / "a.mp4") == 8


def test_odd_sizes_are_refused(tmp_path):
    with pytest.raises(InputError, match="frames are 63x64, sides must be even"):
        write_clip(tmp_path / "a.mp4", torch.zeros(2, 3, 64, 63, dtype=torch.uint8), 8)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("read", [read_clip, probe_clip, clip_rate])
def test_clip_errors(tmp_path, read):
    with pytest.raises(InputError, match=r"none.mp4 does not exist; run `dreamvideo data pull`"):
        read(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(InputError, match=r"text.mp4 cannot be read .*; replace it"):
        read(tmp_path / "text.mp4")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match=r"sound.mp4 has no video stream"):
        read(tmp_path / "sound.mp4")


def test_needed_frames():
    assert needed_frames(32, 32, 8) == 31 * 4 + 1
    assert needed_frames(8, 8, 8) == 8
    assert needed_frames(8, 12, 8) == 12


@pytest.mark.parametrize("clip_fps", [7.5, 8, 10, 12, 15, 24, 25, 29.97, 30, 32, 60, 120])
def test_a_window_plays_a_clip_at_its_own_speed(clip_fps):
    taken = window(16, clip_fps, 8)
    assert len(taken) == 16 and taken[0] == 0
    seconds_of_the_clip, seconds_of_the_video = taken[-1] / clip_fps, 15 / 8
    assert seconds_of_the_clip == pytest.approx(seconds_of_the_video, rel=0.1)
    assert all(later > earlier for earlier, later in pairwise(taken))


def test_whole_strides_stay_whole():
    assert window(4, 32, 8) == [0, 4, 8, 12] and window(4, 25, 8) == [0, 3, 6, 9] and window(4, 12, 8) == [0, 2, 3, 5]


@pytest.mark.parametrize("clip_fps", [0, 1, 4, 7])
def test_a_clip_that_is_too_slow_is_refused(tmp_path, clip_fps):
    with pytest.raises(InputError, match=f"slow.mp4 has {clip_fps} frames a second, needs at least 8"):
        check_timing("zigzag", tmp_path / "slow.mp4", 100, clip_fps, 8, 8)
    with pytest.raises(InputError, match="frames a second"):
        sample_window(torch.zeros(100, 3, 2, 2), clip_fps, 8, 8, torch.Generator())


def test_sample_window():
    frames = torch.arange(40)[:, None, None, None].expand(40, 3, 2, 2)
    starts = set()
    for seed in range(60):
        window = sample_window(frames, 32, 8, 8, torch.Generator().manual_seed(seed))[:, 0, 0, 0]
        assert len(window) == 8 and (window.diff() == 4).all()
        starts.add(int(window[0]))
    assert starts == set(range(12))
    again = [sample_window(frames, 32, 8, 8, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*again)


def test_short_clips(tmp_path):
    sentence = (
        "motion 'zigzag': clip 02.mp4 has 5 frames, needs at least 8; record a longer clip or lower data.num_frames"
    )
    with pytest.raises(InputError) as error:
        check_timing("zigzag", tmp_path / "02.mp4", 5, 8, 8, 8)
    assert str(error.value) == sentence
    check_timing("zigzag", tmp_path / "02.mp4", 8, 8, 8, 8)
    with pytest.raises(InputError, match="has 5 frames, needs at least 8"):
        sample_window(torch.zeros(5, 3, 2, 2), 8, 8, 8, torch.Generator())


def test_resize_frames():
    frames = torch.from_numpy(halves(40, 20)).permute(2, 0, 1)[None]
    resized = resize_frames(frames, 10)
    assert resized.shape == (1, 3, 10, 10)
    assert torch.allclose(resized[0, :, 5, 0], torch.tensor([1.0, -1.0, -1.0]))
    assert resized.min() >= -1 and resized.max() <= 1
    assert resize_frames(frames, 20).shape == (1, 3, 20, 20)
    # A constant stays itself.
    assert torch.allclose(resize_frames(torch.full((1, 3, 30, 30), 51, dtype=torch.uint8), 7), torch.tensor(-0.6))
