"""Read and write video files, and cut training windows out of them.

Shapes: T frames of a clip, H W its pixels, S pixels a side after resizing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import torch
from torch import Tensor

from dreamvideo.dataset.decoding import decoded, even, frame_rate, opened_clip, upright
from dreamvideo.dataset.rules import timing_problem, window
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
    """Count the frames that a clip shows: its packets may hold more, and some of them may not be decodable.

    Raises:
        InputError: the file is missing, truncated or not a video.
    """
    with opened_clip(path) as container:
        stream = container.streams.video[0]
        frames = decoded(stream)
        first = next(frames)
        times = [frame.time for frame in chain((first,), frames)]
        rate = _rate(stream, times)
        sides = (first.width, first.height) if first.rotation % 180 == 0 else (first.height, first.width)
        return ClipProbe(len(even(times, rate)), rate, *sides)


def clip_rate(path: Path) -> float:
    """Frames per second as the container says it, without decoding any; 0 where it does not say.

    Raises:
        InputError: the file is missing, truncated or not a video.
    """
    with opened_clip(path) as container:
        return _rate(container.streams.video[0])


def read_clip(path: Path) -> tuple[Tensor, float]:
    """Decode a whole clip as a screen shows it, at an even rate.

    Returns:
        Frames (T, 3, H, W) uint8, and frames per second.

    Raises:
        InputError: the file is missing, truncated or not a video.
    """
    with opened_clip(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frames, times = [], []
        for frame in decoded(stream):
            frames.append(upright(frame))
            times.append(frame.time)
        if not frames:
            raise InputError(f"clip {path} has no frames; replace it with a whole mp4 file")
        rate = _rate(stream, times)
        shown = [frames[index] for index in even(times, rate)]
        return torch.stack(shown).permute(0, 3, 1, 2).contiguous(), rate


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
    """A training window: a random start, then the frames of ``rules.window``.

    Args:
        frames: the clip (T, 3, H, W), of any type.
        clip_fps: its frames per second.
        num_frames: how many to take.
        fps: at how many a second.
        generator: draws the start.

    Returns:
        (num_frames, 3, H, W).

    Raises:
        InputError: the clip is too slow or too short.
    """
    problem = timing_problem("a clip", len(frames), clip_fps, num_frames, fps)
    if problem:
        raise InputError(problem)
    taken = torch.tensor(window(num_frames, clip_fps, fps))
    start = int(torch.randint(len(frames) - int(taken[-1]), (), generator=generator, device=generator.device))
    return frames[start + taken]


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


def _rate(stream: av.VideoStream, times: Sequence[float | None] = ()) -> float:
    """Frames per second, at worst as ffmpeg guesses it; 0 where it cannot."""
    return frame_rate(stream, times) or float(stream.guessed_rate or 0)
