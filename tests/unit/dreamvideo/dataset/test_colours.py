"""Pictures are read as sRGB, by their colour profile if they have one."""

import numpy as np
import pytest
import torch
from PIL import Image

from dreamvideo.dataset.images import read_image, read_rgb
from dreamvideo.dataset.importing.clips import read_any_clip
from dreamvideo.dataset.importing.images import write_image
from dreamvideo.errors import InputError
from tests.support.colour_profiles import grey_profile, rgb_profile

RAW, TRUE = (200, 60, 60), (219, 37, 49)  # one colour in Display P3, and in sRGB


@pytest.fixture(params=["RGB", "P", "RGBA"])
def photo(request, tmp_path):
    picture = Image.new("RGB", (16, 16), RAW)
    picture = picture.quantize(4) if request.param == "P" else picture.convert(request.param)
    picture.save(tmp_path / "p3.png", icc_profile=rgb_profile())
    return tmp_path / "p3.png"


def test_every_reader_of_pictures_goes_by_the_profile(photo, tmp_path):
    assert read_rgb(photo).getpixel((3, 3)) == TRUE
    expected = torch.tensor(TRUE)[:, None, None] / 127.5 - 1
    torch.testing.assert_close(read_image(photo, 8), expected.expand(3, 8, 8))
    write_image(photo, tmp_path / "out" / "0.png")
    with Image.open(tmp_path / "out" / "0.png") as made:
        assert made.getpixel((3, 3)) == TRUE and "icc_profile" not in made.info


def test_numbered_frames_go_by_their_profiles(photo, tmp_path):
    (tmp_path / "frames").mkdir()
    for index in range(3):
        (tmp_path / "frames" / f"{index}.png").write_bytes(photo.read_bytes())
    frames, _ = read_any_clip(tmp_path / "frames", fps=8)
    assert (frames == torch.tensor(TRUE, dtype=torch.uint8)[:, None, None]).all()


@pytest.mark.parametrize(("mode", "value"), [("L", 128), ("LA", (128, 255)), ("I;16", 128 * 257)])
def test_grey_pictures_go_by_their_profiles(tmp_path, mode, value):
    """Half of the light, without a gamma, is 188 with that of sRGB."""
    path = tmp_path / "grey.tif"
    Image.new(mode, (8, 8), value).save(path, icc_profile=grey_profile(1.0))
    assert read_rgb(path).getpixel((3, 3)) == (188, 188, 188)


def test_transparency_shows_white_whatever_the_profile(tmp_path):
    Image.new("RGBA", (8, 8), (*RAW, 0)).save(tmp_path / "a.png", icc_profile=rgb_profile())
    assert read_rgb(tmp_path / "a.png").getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("profile", [b"junk" * 100, grey_profile(2.2)], ids=["damaged", "of grey pictures"])
def test_a_profile_that_does_not_fit_is_refused(tmp_path, profile):
    Image.new("RGB", (8, 8), RAW).save(tmp_path / "a.jpg", icc_profile=profile)
    with pytest.raises(InputError) as error:
        read_rgb(tmp_path / "a.jpg")
    assert "a.jpg" in str(error.value) and "profile" in str(error.value)


def test_without_a_profile_pixels_stay_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(read_rgb(tmp_path / "a.png")), pixels)
