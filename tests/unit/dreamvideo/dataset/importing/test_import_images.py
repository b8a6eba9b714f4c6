import numpy as np
import pytest
from PIL import Image

from dreamvideo.dataset.importing.files import find_images, pair_masks
from dreamvideo.dataset.importing.images import write_image
from dreamvideo.dataset.rules import LONGER_SIDE
from dreamvideo.errors import InputError
from tests.support.odd_files import halves, write_photos, write_png_header


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: the left becomes the top
    Image.fromarray(halves(40, 20)).save(tmp_path / "a.png", exif=exif)
    assert write_image(tmp_path / "a.png", tmp_path / "out.png") == ((20, 40), (20, 40))
    written = Image.open(tmp_path / "out.png")
    assert written.mode == "RGB" and not written.getexif().get(0x0112)
    assert written.getpixel((10, 2))[0] == 255 and written.getpixel((10, 37))[2] == 255


def test_transparency_and_palettes_are_laid_on_white(tmp_path):
    pixels = np.zeros((8, 8, 4), dtype=np.uint8)
    pixels[:, :4] = (255, 0, 0, 255)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "alpha.png")
    image.quantize(4).save(tmp_path / "palette.png")
    image.save(tmp_path / "palette.gif")
    for name in ("alpha.png", "palette.png", "palette.gif"):
        write_image(tmp_path / name, tmp_path / "out.png")
        written = Image.open(tmp_path / "out.png")
        assert written.mode == "RGB", name
        assert written.getpixel((1, 1)) == (255, 0, 0) and written.getpixel((6, 6)) == (255, 255, 255), name


def test_cmyk_and_16_bit_become_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.tif")
    write_image(tmp_path / "print.tif", tmp_path / "out.png")
    assert Image.open(tmp_path / "out.png").getpixel((4, 4)) == (255, 0, 0)
    Image.fromarray(np.full((8, 8), 0x8080, dtype=np.uint16)).save(tmp_path / "deep.png")
    write_image(tmp_path / "deep.png", tmp_path / "out.png")
    assert Image.open(tmp_path / "out.png").getpixel((4, 4)) == (128, 128, 128)


def test_fractions_are_refused(tmp_path):
    Image.fromarray(np.full((8, 8), 0.5, dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match=r"float.tif has fractions for pixels; export it"):
        write_image(tmp_path / "float.tif", tmp_path / "out.png")


def test_large_images_shrink_and_small_ones_stay(tmp_path):
    Image.fromarray(halves(3000, 1500)).save(tmp_path / "large.jpg")
    assert write_image(tmp_path / "large.jpg", tmp_path / "out.png") == ((3000, 1500), (LONGER_SIDE, LONGER_SIDE // 2))
    assert Image.open(tmp_path / "out.png").size == (LONGER_SIDE, LONGER_SIDE // 2)
    Image.fromarray(halves(40, 20)).save(tmp_path / "small.png")
    write_image(tmp_path / "small.png", tmp_path / "out.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), halves(40, 20))


def test_a_huge_image_is_refused_by_its_header(tmp_path):
    write_png_header(tmp_path / "huge.png", 20_000, 20_000)
    with pytest.raises(InputError, match=r"huge.png has more than 178,956,970 pixels, .*; shrink it, for instance to"):
        write_image(tmp_path / "huge.png", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_masks_are_paired_by_name(tmp_path):
    photos = write_photos(tmp_path / "photos")
    images, masks = find_images(photos).files, find_images(photos / "masks").files
    assert pair_masks(images, masks[::-1]) == masks
    with pytest.raises(InputError, match=r"1.jpg has no mask, needs one called 1.png; supply it or leave --masks out"):
        pair_masks(images, masks[:1])
