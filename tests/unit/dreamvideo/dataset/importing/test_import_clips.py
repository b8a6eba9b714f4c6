import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from dreamvideo.dataset.clips import read_clip, write_clip
from dreamvideo.dataset.importing.clips import read_any_clip
from dreamvideo.dataset.importing.files import find, find_clips, find_images, inside
from dreamvideo.dataset.rules import LOWEST_FPS, MOST_FRAMES, SHORTER_SIDE
from dreamvideo.errors import InputError
from tests.support.odd_files import halves, write_frames, write_timeless, write_video


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.mkv", "ffv1", "yuv444p"),
    ],
)
def test_every_usual_container_is_read(tmp_path, name, codec, pixel_format):
    frames, fps = read_any_clip(write_video(tmp_path / name, codec=codec, pixel_format=pixel_format))
    assert frames.shape == (12, 3, 48, 64) and fps == pytest.approx(8, rel=0.05)
    assert frames[0, 0, 24, 10] > 200 > 60 > frames[0, 2, 24, 10] and frames[0, 2, 24, 50] > 200


def test_odd_sides_are_cut_to_even(tmp_path):
    video = write_video(tmp_path / "odd.mkv", codec="ffv1", pixel_format="yuv444p", size=(63, 47))
    frames, _ = read_any_clip(video)
    assert frames.shape == (12, 3, 46, 62)
    assert (frames[0].float() - read_clip(video)[0][0, :, :46, :62].float()).abs().max() == 0


def test_the_rotation_flag_is_applied(tmp_path):
    path = write_video(tmp_path / "phone.mp4", codec="libx264")
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44  # the display matrix: here, a quarter turn clockwise
    content[start : start + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    frames, _ = read_any_clip(path)
    assert frames.shape == (12, 3, 64, 48)
    assert frames[0, 0, 10, 24] > 200 and frames[0, 2, 54, 24] > 200


@pytest.mark.parametrize(
    ("matrix", "red_at"),  # red is left and blue right before
    [((-1, 0, 0, 1), "right"), ((1, 0, 0, -1), "left"), ((0, 1, 1, 0), "top"), ((0, -1, -1, 0), "bottom")],
)
def test_a_mirroring_display_matrix_is_applied(tmp_path, matrix, red_at):
    path = write_video(tmp_path / "front.mp4", codec="libx264")
    plain, _ = read_any_clip(path)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    frames, _ = read_any_clip(path)
    expected = {
        "right": plain.flip(3),
        "left": plain.flip(2),
        "top": plain.transpose(2, 3),
        "bottom": plain.transpose(2, 3).flip(2, 3),
    }
    assert torch.equal(frames, expected[red_at])


def test_a_rate_too_slow_to_be_written_is_refused(tmp_path):
    folder = write_frames(tmp_path / "slow")
    with pytest.raises(InputError, match=r"has a frame rate of 0.0004, must be from 0.01 to below 1000; give the true"):
        read_any_clip(folder, fps=0.0004)
    frames, fps = read_any_clip(folder, fps=LOWEST_FPS)
    write_clip(tmp_path / "slow.mp4", frames, fps)
    assert read_clip(tmp_path / "slow.mp4")[1] == pytest.approx(LOWEST_FPS)


def test_frames_that_stay_for_different_times_are_read_at_an_even_rate(tmp_path):
    path = tmp_path / "uneven.mkv"
    milliseconds = [*range(0, 3000, 300), *range(3000, 3330, 33)]  # ten slow frames, then ten fast ones
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1000)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 16, 16, "gray", Fraction(1, 1000)
        for shade, pts in enumerate(milliseconds):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16), 10 * shade, np.uint8), format="gray")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frames, rate = read_any_clip(path)
    shades = frames[:, 0, 0, 0].div(10, rounding_mode="floor").tolist()
    shown = [sum(pts <= 1000 * tick / rate + 1 for pts in milliseconds) - 1 for tick in range(len(shades))]
    assert shades == shown and abs((len(shades) - 1) / rate - 3.297) < 1 / rate


def test_large_clips_shrink_and_keep_their_shape_and_rate(tmp_path):
    frames, fps = read_any_clip(write_video(tmp_path / "large.mp4", 2, "libx264", size=(1600, 900), rate=30))
    assert frames.shape == (2, 3, SHORTER_SIDE, 2 * round(SHORTER_SIDE * 16 / 9 / 2)) and fps == 30


def test_transparent_gifs_are_laid_on_white(tmp_path):
    pictures = []
    for index in range(3):
        pixels = np.zeros((16, 16, 4), dtype=np.uint8)
        pixels[:, : 4 + index] = (255, 0, 0, 255)
        pictures.append(Image.fromarray(pixels))
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100, disposal=2)
    frames, fps = read_any_clip(tmp_path / "a.gif")
    assert frames.shape == (3, 3, 16, 16) and fps == pytest.approx(10)
    assert frames[0, :, 8, 1].tolist() == [255, 0, 0] and frames[0, :, 8, 12].tolist() == [255, 255, 255]


def test_numbered_frames_are_a_clip_in_the_order_of_their_numbers(tmp_path):
    folder = write_frames(tmp_path / "bear")
    frames, fps = read_any_clip(folder, fps=16)
    assert frames.shape == (12, 3, 48, 64) and fps == 16
    assert frames[:, 2, 0, 0].diff().tolist() == [1] * 11
    with pytest.raises(InputError, match=r"bear holds numbered frames, which have no frame rate; give it with --fps"):
        read_any_clip(folder)
    Image.fromarray(halves(32, 32)).save(folder / "f12.png")
    with pytest.raises(InputError, match=r"bear: frame 13 is 32x32, another shape than the first; supply frames"):
        read_any_clip(folder, fps=16)


@pytest.mark.parametrize("missing", [1, 5, 10])
def test_a_gap_in_numbered_frames_is_refused(tmp_path, missing):
    folder = write_frames(tmp_path / "bear")
    (folder / f"f{missing}.png").unlink()
    with pytest.raises(InputError) as error:
        read_any_clip(folder, fps=16)
    assert f"f{missing - 1}.png to f{missing + 1}.png" in str(error.value)


def test_frames_that_are_numbered_in_even_steps_have_no_gap(tmp_path):
    folder = write_frames(tmp_path / "bear")
    for index in range(1, 12, 2):
        (folder / f"f{index}.png").unlink()
    assert len(read_any_clip(folder, fps=8)[0]) == 6


def test_two_frames_of_one_number_are_refused(tmp_path):
    folder = write_frames(tmp_path / "bear")
    (folder / "f05.png").write_bytes((folder / "f5.png").read_bytes())
    with pytest.raises(InputError, match=r"grows by 0"):
        read_any_clip(folder, fps=16)


def test_a_clip_without_a_frame_rate(tmp_path):
    clip = write_timeless(tmp_path / "recorded.mkv", lambda index: index * 50)
    assert read_any_clip(clip)[1] == pytest.approx(20, rel=0.1)
    clip = write_timeless(tmp_path / "zero.mkv", lambda index: 0)
    with pytest.raises(
        InputError, match=r"zero.mkv has a frame rate of 0, must be from 0.01 .*; give the true one with"
    ):
        read_any_clip(clip)
    frames, fps = read_any_clip(clip, fps=12)
    assert len(frames) == 12 and fps == 12


def test_clips_that_cannot_be_used(tmp_path):
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(InputError, match=r"text.mp4 cannot be read \(Invalid data.*\); replace it with a whole mp4"):
        read_any_clip(tmp_path / "text.mp4")
    with pytest.raises(InputError, match=r"one.mp4 has one frame, in which nothing moves; supply a longer one"):
        read_any_clip(write_video(tmp_path / "one.mp4", frames=1))
    with pytest.raises(InputError, match=rf"long.avi has over {MOST_FRAMES} frames, .*; cut it to the motion"):
        read_any_clip(write_video(tmp_path / "long.avi", frames=MOST_FRAMES + 1, size=(16, 16)))
    with pytest.raises(InputError, match=r"line.mkv is a line of pixels; supply a larger one"):
        read_any_clip(write_video(tmp_path / "line.mkv", codec="ffv1", pixel_format="yuv444p", size=(64, 1)))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"movflags": "+faststart"}),  # with the index in front, it plays as far as it goes
        ("fragments.mp4", "libx264", {"movflags": "+frag_keyframe+empty_moov"}),
        ("a.mp4", "libx264", {}),
        ("a.mov", "libx264", {"movflags": "+faststart"}),
        ("a.webm", "libvpx-vp9", {}),
        ("a.avi", "mpeg4", {}),
    ],
)
def test_a_clip_that_was_cut_short_is_refused_however_many_frames_it_has_left(tmp_path, name, codec, options):
    whole = write_video(tmp_path / name, 40, codec, options=options).read_bytes()
    cut = tmp_path / f"cut_{name}"
    for length in (len(whole) // 2, len(whole) * 9 // 10, len(whole) - 1):
        cut.write_bytes(whole[:length])
        sentence = (
            rf"cut_{name} is cut short, at {length:,} of the [0-9,]+ bytes that it states; replace it with a whole"
        )
        with pytest.raises(InputError, match=sentence):
            read_any_clip(cut)
    cut.write_bytes(whole + b"what a camera leaves behind")
    assert len(read_any_clip(cut)[0]) == 40


class Pipe:
    """Takes bytes one after the other, and cannot go back to fill a size in."""

    def __init__(self, file) -> None:
        self.write = file.write


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("webm", "libvpx-vp9", {}),
        ("matroska", "mpeg4", {}),
        ("avi", "mpeg4", {}),
        ("mp4", "libx264", {"movflags": "+frag_keyframe+empty_moov"}),
    ],
)
def test_a_clip_that_was_written_into_a_pipe_is_read(tmp_path, container, codec, options):
    with (tmp_path / "clip").open("wb") as file:
        write_video(Pipe(file), 12, codec, format=container, options=options)
    assert len(read_any_clip(tmp_path / "clip")[0]) == 12


def test_a_playlist_does_not_lead_to_other_files(tmp_path):
    target = write_video(tmp_path / "secret.mp4")
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match=r"list.mp4 cannot be read"):
        read_any_clip(playlist)


def test_folders_are_read_in_the_order_of_numbers_and_name_what_is_not_read(tmp_path):
    for name in ("10.jpg", "9.JPG", "notes.txt", ".DS_Store"):
        (tmp_path / name).write_text("x")
    (tmp_path / "masks").mkdir()
    found = find(tmp_path, (".jpg",))
    assert [path.name for path in found.files] == ["9.JPG", "10.jpg"]
    assert {path.name for path in found.others} == {"masks", "notes.txt"}


def test_a_path_that_leaves_the_folder_is_refused(tmp_path):
    (tmp_path / "out.jpg").write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "in.jpg").symlink_to(tmp_path / "out.jpg")
    with pytest.raises(InputError, match=r"in.jpg leads out of its folder, to .*out.jpg; copy the file itself into"):
        find_images(folder)
    with pytest.raises(InputError, match=r"leads out of its folder"):
        inside(folder, "../out.jpg")
    (folder / "in.jpg").unlink()
    (folder / "a.jpg").write_text("x")
    (folder / "b.jpg").symlink_to("a.jpg")
    assert len(find_images(folder).files) == 2


def test_empty_folders(tmp_path):
    (tmp_path / ".hidden.jpg").write_text("x")
    with pytest.raises(InputError, match=r"holds no images; images end in .jpg"):
        find_images(tmp_path)
    with pytest.raises(InputError, match=r"holds neither clips nor frames; clips end in .mp4"):
        find_clips(tmp_path)
    (tmp_path / "a.heic").write_text("x")
    with pytest.raises(InputError, match=r"holds no images \(but .*a.heic\)"):
        find_images(tmp_path)
    with pytest.raises(InputError, match=r"nowhere is not a folder"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"nowhere does not exist; name a clip, a folder of clips or"):
        find_clips(tmp_path / "nowhere")


def test_clips_of_a_folder_come_before_its_frames(tmp_path):
    folder = write_frames(tmp_path / "both", count=2)
    assert find_clips(folder).files == (folder,)
    write_video(folder / "clip.avi")
    found = find_clips(folder)
    assert found.files == (folder / "clip.avi",) and len(found.others) == 2
