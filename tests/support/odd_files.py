"""Images and clips as cameras, editors and browsers leave them, made on the spot."""

import struct
import zlib

import av
import numpy as np
from PIL import Image


def halves(width=48, height=48, seed=0):
    """Red on the left, blue on the right, some noise so that no two are alike."""
    pixels = np.random.default_rng(seed).integers(0, 30, (height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    return pixels


def write_video(path, frames=12, codec="mpeg4", pixel_format="yuv420p", size=(64, 48), rate=8, seed=0, **opening):
    """A clip whose left part is red and whose right part is blue, brightening a little; another one for another seed."""
    with av.open(path, "w", **opening) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        for index in range(frames):
            pixels = halves(*size, seed)
            pixels[..., 1] = index * 10 % 250
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_photos(folder, seed=0):
    """Three images, and a mask for each."""
    (folder / "masks").mkdir(parents=True)
    for index in range(3):
        Image.fromarray(halves(seed=seed + index)).save(folder / f"{index}.jpg")
        mask = np.zeros((48, 48), dtype=np.uint8)
        mask[10:30, 10:30] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
    return folder


def write_png_header(path, width, height):
    """A PNG that says it is of this size, and has nothing else."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content + struct.pack(">I", 0) + b"IDAT" + b"\x35\xaf\x06\x1e")
    return path


def write_frames(folder, count=12, size=(64, 48)):
    folder.mkdir()
    for index in range(count):
        Image.fromarray(halves(*size)).point(lambda value, i=index: min(255, value + i)).save(folder / f"f{index}.png")
    (folder / ".hidden").write_text("x")
    return folder


def write_timeless(path, time_of):
    """A clip whose container states no frame rate, only the time in milliseconds of each frame."""
    write_video(path.with_name("source.mkv"), codec="mjpeg", pixel_format="yuvj420p")
    with av.open(str(path.with_name("source.mkv"))) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.stream, packet.pts, packet.dts, packet.duration = stream, time_of(index), time_of(index), 0
            container.mux(packet)
    content = bytearray(path.read_bytes())
    if (start := content.find(bytes.fromhex("23e383"))) >= 0:  # DefaultDuration becomes Void
        content[start : start + 8] = bytes.fromhex("ec86000000000000")
    path.write_bytes(content)
    return path
