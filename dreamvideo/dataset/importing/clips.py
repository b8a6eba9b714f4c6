"""Turn any video file, or a folder of numbered frames, into a clip as the dataset holds it.

Shapes: T frames of a clip, H W its pixels.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dreamvideo.dataset.decoding import decoded, even, frame_rate, opened_clip, upright
from dreamvideo.dataset.images import read_rgb, to_rgb
from dreamvideo.dataset.importing.files import find
from dreamvideo.dataset.rules import HIGHEST_FPS, IMAGE_SUFFIXES, LOWEST_FPS, MOST_FRAMES, MOST_PIXELS, SHORTER_SIDE
from dreamvideo.errors import InputError


def read_any_clip(path: Path, fps: float | None = None) -> tuple[Tensor, float]:
    """Decode a clip: upright, transparency on white, at most SHORTER_SIDE pixels on its shorter side, both sides even.

    Args:
        path: a video file, or a folder of numbered frames.
        fps: frames per second; None takes those of the file.

    Returns:
        Frames (T, 3, H, W) uint8, and frames per second.

    Raises:
        InputError: the clip cannot be decoded, has no frame rate, or is too short, long, small or large.
    """
    if path.is_dir():
        if fps is None:
            raise InputError(f"folder {path} holds numbered frames, which have no frame rate; give it with --fps")
        files = find(path, IMAGE_SUFFIXES).files
        _refuse_gaps(path, files)
        return _stacked(map(read_rgb, files), path), _checked_rate(path, fps)
    with opened_clip(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if stream.width * stream.height > MOST_PIXELS:
            raise InputError(
                f"clip {path} is {stream.width}x{stream.height}, more than the {MOST_PIXELS:,} pixels that are read; "
                "scale it down"
            )
        times: list[float | None] = []
        frames = _stacked(_pictures(decoded(stream), times), path)
        if fps is not None:
            return frames, _checked_rate(path, fps)
        rate = _checked_rate(path, frame_rate(stream, times))
        return frames[even(times, rate)], rate


def _pictures(frames: Iterable[av.VideoFrame], times: list[float | None]) -> Iterator[Image.Image]:
    """The frames as pictures; their times in seconds go into ``times``."""
    for frame in frames:
        times.append(frame.time)
        yield _picture(frame)


def _picture(frame: av.VideoFrame) -> Image.Image:
    transparent = any(component.is_alpha for component in frame.format.components)
    return to_rgb(Image.fromarray(upright(frame, "rgba" if transparent else "rgb24").contiguous().numpy()))


def _stacked(images: Iterable[Image.Image], path: Path) -> Tensor:
    frames: list[Tensor] = []
    for image in images:
        if len(frames) == MOST_FRAMES:
            raise InputError(f"clip {path} has over {MOST_FRAMES} frames, the most that is read; cut it to the motion")
        frames.append(torch.from_numpy(np.array(_fitted(image))))
        if frames[-1].shape != frames[0].shape:
            raise InputError(
                f"clip {path}: frame {len(frames)} is {image.width}x{image.height}, another shape than the first; "
                "supply frames of one size"
            )
    if len(frames) < 2:
        many = "one frame" if frames else "no frames"
        raise InputError(f"clip {path} has {many}, in which nothing moves; supply a longer one")
    if min(frames[0].shape[:2]) < 2:
        raise InputError(f"clip {path} is a line of pixels; supply a larger one")
    return torch.stack(frames).permute(0, 3, 1, 2)


def _refuse_gaps(folder: Path, files: Sequence[Path]) -> None:
    """Refuse frames that are missing, by the last number in the names: the motion would jump there."""
    found = [re.search(r"(\d+)\D*$", file.stem) for file in files]
    numbers = [int(match[1]) for match in found if match]
    steps = np.diff(numbers)
    if len(numbers) < len(files) or len(steps) == 0 or steps.min() == steps.max() != 0:
        return
    usual = Counter(steps.tolist()).most_common(1)[0][0]
    odd = int(np.argmax(steps != usual)) if usual else 0
    raise InputError(
        f"folder {folder}: from {files[odd].name} to {files[odd + 1].name} the number grows by {steps[odd]}, else by {usual}; "
        "supply the frames between, or import the parts as clips of their own"
    )


def _fitted(image: Image.Image) -> Image.Image:
    """An image scaled down to SHORTER_SIDE, then cut to even sides, as H.264 wants them."""
    scale = min(1.0, SHORTER_SIDE / min(image.size))
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    return image.crop((0, 0, image.width // 2 * 2, image.height // 2 * 2))


def _checked_rate(path: Path, fps: float) -> float:
    if LOWEST_FPS <= fps < HIGHEST_FPS:
        return fps
    raise InputError(
        f"clip {path} has a frame rate of {fps:g}, must be from {LOWEST_FPS} to below {HIGHEST_FPS}; give the true one with --fps"
    )
