"""Masks as annotation tools and editors write them."""

import numpy as np
import pytest
from PIL import Image

from dreamvideo.dataset.importing.masks import looks_inverted, write_mask
from dreamvideo.errors import InputError
from tests.support.odd_files import VOC_PALETTE, labels


def written(folder, mask, name="mask.png"):
    """Where a mask of 48 x 48 pixels has its foreground after the import."""
    mask.save(folder / name)
    write_mask(folder / name, folder / "out.png", folder / "image.png", (48, 48), (48, 48))
    return np.asarray(Image.open(folder / "out.png")) > 0


@pytest.mark.parametrize("high", [255, 1])
def test_masks_become_black_and_white_at_the_size_of_their_image(tmp_path, high):
    mask = np.zeros((300, 200), dtype=np.uint8)
    mask[:150] = high
    Image.fromarray(mask).save(tmp_path / "mask.png")
    write_mask(tmp_path / "mask.png", tmp_path / "out.png", tmp_path / "image.png", (200, 300), (20, 30))
    written = Image.open(tmp_path / "out.png")
    assert written.mode == "L" and written.size == (20, 30)
    assert np.array_equal(np.asarray(written) == 255, (np.arange(30) < 15)[:, None].repeat(20, 1))
    assert set(np.unique(written)) == {0, 255}


def test_a_cut_out_is_a_mask_by_its_transparency(tmp_path):
    pixels = np.zeros((10, 10, 4), dtype=np.uint8)
    pixels[:, :5] = (20, 20, 20, 255)  # a dark subject
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    write_mask(tmp_path / "mask.png", tmp_path / "out.png", tmp_path / "image.png", (10, 10), (10, 10))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png"))[0] == 255, np.arange(10) < 5)


def test_a_mask_of_another_shape_is_refused(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask.png is 30x20, its image .*image.png is 200x300; export the mask"):
        write_mask(tmp_path / "mask.png", tmp_path / "out.png", tmp_path / "image.png", (200, 300), (20, 30))


@pytest.mark.parametrize("values", [{1: "a"}, {7: "a"}, {1: "a", 255: "border"}], ids=str)
def test_a_palette_is_read_by_its_index(tmp_path, values):
    """Pascal VOC marks an object by its number, and the border between objects by 255."""
    index = labels(values)
    mask = Image.fromarray(index, "P")
    mask.putpalette(VOC_PALETTE)
    assert np.array_equal(written(tmp_path, mask), (index > 0) & (index < 255))


def test_a_grey_label_is_the_foreground(tmp_path):
    index = labels({3: "a"})
    assert np.array_equal(written(tmp_path, Image.fromarray(index)), index == 3)


@pytest.mark.parametrize("levels", [(255, 0), (0, 255)], ids=["white first", "black first"])
def test_a_palette_of_greys_is_read_by_its_brightness(tmp_path, levels):
    index = labels({1: "a"})
    mask = Image.fromarray(index, "P")
    mask.putpalette([grey for level in levels for grey in (level,) * 3])
    assert np.array_equal(written(tmp_path, mask), (index == 1) == (levels[1] == 255))


@pytest.mark.parametrize("palette", [False, True], ids=["grey", "palette"])
@pytest.mark.parametrize("values", [{1: "a", 2: "b"}, {1: "a", 2: "b", 255: "border"}], ids=str)
def test_several_labels_are_refused(tmp_path, values, palette):
    mask = Image.fromarray(labels(values), "P" if palette else "L")
    if palette:
        mask.putpalette(VOC_PALETTE)
    with pytest.raises(InputError) as error:
        written(tmp_path, mask)
    assert "mask.png" in str(error.value) and "1, 2" in str(error.value)


@pytest.mark.parametrize(
    "values", [{128: "a", 255: "b"}, {1: "a", 255: "border"}, {85: "a", 170: "b", 255: "border"}], ids=str
)
def test_greys_between_black_and_white_are_refused(tmp_path, values):
    with pytest.raises(InputError, match="several objects"):
        written(tmp_path, Image.fromarray(labels(values)))


def test_noise_of_a_few_levels_is_no_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 6, (48, 48), dtype=np.uint8)
    with pytest.raises(InputError, match="several objects"):
        written(tmp_path, Image.fromarray(noise))


def test_edges_and_the_noise_of_jpeg_are_no_objects(tmp_path):
    sharp = labels({255: "a"})
    smooth = Image.fromarray(sharp).resize((192, 192)).resize((48, 48), Image.Resampling.LANCZOS)
    for name in ("smooth.png", "noisy.jpg"):
        assert (written(tmp_path, smooth, name) == (sharp > 0)).mean() > 0.97


def test_one_translucent_pixel_is_no_cut_out(tmp_path):
    mask = Image.fromarray(labels({255: "a"})).convert("RGBA")
    mask.putpixel((0, 0), (0, 0, 0, 254))
    mask.putpixel((1, 0), (0, 0, 0, 0))
    assert np.array_equal(written(tmp_path, mask), labels({255: "a"}) > 0)


@pytest.mark.parametrize("inverted", [False, True])
def test_a_mask_of_the_background_draws_attention(tmp_path, inverted):
    mask = np.zeros((48, 48), np.uint8)
    mask[12:36, 12:36] = 255
    Image.fromarray(255 - mask if inverted else mask).save(tmp_path / "mask.png")
    assert looks_inverted(tmp_path / "mask.png") == inverted
