"""Decode video files to frames as a screen shows them: upright, of square pixels, progressive, in the colours of sRGB.

Shapes: T frames of a clip, H W its pixels.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.container import InputContainer
from av.filter import Graph
from av.video.reformatter import Colorspace, ColorTrc
from torch import Tensor

from dreamvideo.dataset.containers import stated_size
from dreamvideo.dataset.rules import CONTAINERS, HIGHEST_FPS
from dreamvideo.errors import InputError

HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ and HLG
# The white of paper (203 cd/m2) becomes white; what is brighter than paper is white too.
TO_SDR = ("scale", "out_transfer=bt709:out_primaries=bt709")
HD_LINES = 720  # from here on, video that names no colour matrix has that of BT.709
UNSPECIFIED = 2  # colour matrix, as ffmpeg counts them
FIRST = 8  # frames that tell whether a clip is interlaced

Filter = tuple[str, str]


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


def frame_rate(stream: av.VideoStream, times: Sequence[float | None] = ()) -> float:
    """Frames per second: what the container states, or else what the frames' times come to; 0 where neither says."""
    stated = float(stream.average_rate or 0)
    if 0 < stated < HIGHEST_FPS:
        return stated
    known = [time for time in times if time is not None]
    if len(known) > 1 and known[-1] > known[0]:
        return (len(known) - 1) / (known[-1] - known[0])
    return 0.0


def even(times: Sequence[float | None], rate: float) -> list[int]:
    """Which frame is shown at each tick of an even rate, where frames are shown for different times; else every frame.

    Args:
        times: of every frame, in seconds, or None where the container gives it none.
        rate: ticks per second.
    """
    known = [time for time in times if time is not None]
    if len(known) < max(2, len(times)) or rate <= 0 or np.diff(known).max() < 1.5 / rate:
        return list(range(len(times)))
    ticks = np.arange(known[0], known[-1] + 0.5 / rate, 1 / rate)
    return (np.searchsorted(known, ticks + 1e-3, side="right") - 1).tolist()


def decoded(stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """The frames of a clip: of square pixels, without interlacing, of standard dynamic range."""
    assert isinstance(stream.container, InputContainer)
    frames = stream.container.decode(stream)
    first = list(islice(frames, FIRST))
    filters = _filters(first, stream)
    frames = chain(first, frames)
    return _filtered(frames, filters, stream) if filters else frames


def upright(frame: av.VideoFrame, pixel_format: str = "rgb24") -> Tensor:
    """A frame (H, W, channels) uint8, turned and mirrored by its display matrix."""
    matrix = None
    if frame.colorspace == UNSPECIFIED and frame.height >= HD_LINES:
        matrix = Colorspace.ITU709
    pixels = torch.from_numpy(frame.to_ndarray(format=pixel_format, src_colorspace=matrix))
    rotation = frame.rotation
    if _mirrored(frame):  # first from left to right, which the rotation then counts as half a turn
        pixels, rotation = pixels.flip(1), rotation + 180
    return torch.rot90(pixels, round(rotation / 90)) if rotation else pixels


def _filters(first: list[av.VideoFrame], stream: av.VideoStream) -> list[Filter]:
    """ffmpeg's filters that make a clip fit for a screen; none for most clips."""
    if not first:
        return []
    filters: list[Filter] = []
    if any(frame.interlaced_frame for frame in first):
        filters.append(("bwdif", "mode=send_frame:deint=interlaced"))
    if first[0].color_trc in HDR:
        filters.append(TO_SDR)
    aspect = stream.sample_aspect_ratio or 1
    if aspect != 1 and aspect > 0:
        width, height = first[0].width, first[0].height
        # The side that is too short grows, so that no detail is lost.
        wide = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
        filters += [("scale", "{}:{}:flags=lanczos".format(*wide)), ("setsar", "1")]
    return filters


def _filtered(
    frames: Iterable[av.VideoFrame], filters: list[Filter], stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    graph: Graph | None = None
    for frame in frames:
        if graph is None:
            graph = _graph(frame, filters, stream)
        graph.push(frame)
        yield from _ready(graph)
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)


def _graph(frame: av.VideoFrame, filters: list[Filter], stream: av.VideoStream) -> Graph:
    graph = Graph()
    node = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=stream.time_base)
    for name, arguments in (*filters, ("buffersink", None)):
        following = graph.add(name, arguments) if arguments else graph.add(name)
        node.link_to(following)
        node = following
    graph.configure()
    return graph


def _ready(graph: Graph) -> Iterator[av.VideoFrame]:
    """The frames that the filters have finished."""
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return


def _mirrored(frame: av.VideoFrame) -> bool:
    """Whether a frame's display matrix, (a b u; c d v; x y w) of 32-bit integers, mirrors it."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    return a * d < b * c
