"""Read and write video files, and cut training windows out of them.

Shapes: T frames of a clip, H W its pixels, S pixels a side after resizing.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import torch
from torch import Tensor

from dreamvideo.dataset.containers import stated_size
from dreamvideo.dataset.rules import CONTAINERS, length_problem, needed_frames, stride
from dreamvideo.errors import InputError
from dreamvideo.files import replacing

CRF = 12  # x264's quality: near-lossless for flat drawings, and small
SMPTE_170M = 6  # the colour matrix that swscale writes by default; tagged, so that players agree


@dataclass(frozen=True)
class ClipProbe:
    """What the data gate has to know of a clip."""

    frames: int
    fps: float
    width: int
    height: int


def probe_clip(path: Path) -> ClipProbe:
    """Count the frames that a clip's decoder gives: its packets may hold more than it shows, or than can be decoded.

    Raises:
        InputError: the file is missing, truncated or not a video.
    """
    with opened_clip(path) as container:
        stream = container.streams.video[0]
        decoded = container.decode(stream)
        first = next(decoded)
        frames = 1 + sum(1 for _ in decoded)
        sides = (first.width, first.height) if first.rotation % 180 == 0 else (first.height, first.width)
        return ClipProbe(frames, _rate(stream), *sides)


def clip_rate(path: Path) -> float:
    """Frames per second as the container says it, without decoding any; 0 where it does not say.

    Raises:
        InputError: the file is missing, truncated or not a video.
    """
    with opened_clip(path) as container:
        return _rate(container.streams.video[0])


def read_clip(path: Path) -> tuple[Tensor, float]:
    """Decode a whole clip, turned the way its metadata says.

    Returns:
        Frames (T, 3, H, W) uint8, and frames per second.

    Raises:
        InputError: the file is missing, truncated or not a video.
    """
    with opened_clip(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frames = [upright(frame) for frame in container.decode(stream)]
        if not frames:
            raise InputError(f"clip {path} has no frames; replace it with a whole mp4 file")
        return torch.stack(frames).permute(0, 3, 1, 2).contiguous(), _rate(stream)


def write_clip(path: Path, frames: Tensor, fps: float) -> None:
    """Write a clip as near-lossless H.264 (yuv420p, mp4); equal frames give equal bytes.

    Args:
        path: where to; it holds the whole clip or is not touched.
        frames: (T, 3, H, W) uint8, H and W even.
        fps: frames per second.

    Raises:
        InputError: H or W is odd, which yuv420p cannot hold.
    """
    assert frames.dtype == torch.uint8 and frames.ndim == 4 and frames.shape[1] == 3
    height, width = frames.shape[2:]
    if height % 2 or width % 2:
        raise InputError(f"clip {path}: frames are {width}x{height}, sides must be even; choose an even frame size")
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # x264's macroblock tree gives other bytes from run to run on processors with AVX-512 (an AMD EPYC of family 26).
        stream.options = {"crf": str(CRF), "preset": "medium", "x264-params": "mbtree=0"}
        stream.codec_context.thread_count = 1
        stream.codec_context.colorspace = SMPTE_170M
        for frame in frames.permute(0, 2, 3, 1).contiguous().cpu().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def sample_window(frames: Tensor, clip_fps: float, num_frames: int, fps: float, generator: torch.Generator) -> Tensor:
    """A training window: a random start, then every stride-th frame.

    Args:
        frames: the clip (T, 3, H, W), of any type.
        clip_fps: its frames per second.
        num_frames: how many to take.
        fps: at how many a second.
        generator: draws the start.

    Returns:
        (num_frames, 3, H, W).

    Raises:
        InputError: the clip is too short.
    """
    problem = length_problem("a clip", len(frames), clip_fps, num_frames, fps)
    if problem:
        raise InputError(problem)
    length = needed_frames(num_frames, clip_fps, fps)
    start = int(torch.randint(len(frames) - length + 1, (), generator=generator, device=generator.device))
    return frames[start : start + length : stride(clip_fps, fps)]


def resize_frames(frames: Tensor, size: int) -> Tensor:
    """Frames as the model sees them: centre-cropped to a square, resized with antialiasing.

    Args:
        frames: (T, 3, H, W) uint8.
        size: pixels a side of the result.

    Returns:
        (T, 3, S, S) in [-1, 1].
    """
    height, width = frames.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = frames[:, :, top : top + side, left : left + side].float() / 127.5 - 1
    if side == size:
        return square
    resized = torch.nn.functional.interpolate(square, size=(size, size), mode="bilinear", antialias=True)
    return resized.clamp(-1, 1)


@contextmanager
def opened_clip(path: Path) -> Iterator[av.container.InputContainer]:
    """A video file, open for reading; whatever is wrong with it becomes one InputError."""
    if not path.is_file():
        raise InputError(f"clip {path} does not exist; run `dreamvideo data pull`")
    try:
        size, stated = path.stat().st_size, stated_size(path)
        if size < stated:  # ffmpeg would read what there is, and say nothing
            raise InputError(
                f"clip {path} is cut short, at {size:,} of the {stated:,} bytes that it states; replace it with a whole file"
            )
        with av.open(str(path), options={"format_whitelist": CONTAINERS}) as container:
            if not container.streams.video:
                raise InputError(f"clip {path} has no video stream; replace it with an mp4 file")
            yield container
    except (av.error.FFmpegError, OSError, StopIteration) as error:
        reason = getattr(error, "strerror", None) or "no frames"
        raise InputError(f"clip {path} cannot be read ({reason}); replace it with a whole mp4 file") from error


def _rate(stream: av.VideoStream) -> float:
    """Frames per second; 0 where the container does not say."""
    return float(stream.average_rate or stream.guessed_rate or 0)


def upright(frame: av.VideoFrame, pixel_format: str = "rgb24") -> Tensor:
    """A frame (H, W, channels) uint8, turned and mirrored by its display matrix."""
    pixels = torch.from_numpy(frame.to_ndarray(format=pixel_format))
    rotation = frame.rotation
    if _mirrored(frame):  # first from left to right, which the rotation then counts as half a turn
        pixels, rotation = pixels.flip(1), rotation + 180
    return torch.rot90(pixels, round(rotation / 90)) if rotation else pixels


def _mirrored(frame: av.VideoFrame) -> bool:
    """Whether a frame's display matrix, (a b u; c d v; x y w) of 32-bit integers, mirrors it."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    return a * d < b * c
