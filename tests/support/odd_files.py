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


def write_video(
    path, frames=12, codec="mpeg4", pixel_format="yuv420p", size=(64, 48), rate=8, seed=0, tags=None, **opening
):
    """A clip whose left part is red and whose right part is blue, brightening a little; another one for another seed.

    ``tags`` are attributes of the stream's codec context, such as its sample_aspect_ratio.
    """
    with av.open(path, "w", **opening) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for index in range(frames):
            pixels = halves(*size, seed)
            pixels[..., 1] = index * 10 % 250
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def photo(seed, size=(48, 48)):
    """Red on the left, blue on the right, with spots of green that make one photo look unlike another."""
    pixels = halves(*size)
    spots = np.random.default_rng(seed).integers(0, 2, (6, 6), dtype=np.uint8) * 200
    pixels[..., 1] = np.asarray(Image.fromarray(spots).resize(size, Image.Resampling.NEAREST))
    return Image.fromarray(pixels)


def write_photos(folder, seed=0):
    """Three images, and a mask for each."""
    (folder / "masks").mkdir(parents=True)
    for index in range(3):
        photo(seed + index).save(folder / f"{index}.jpg")
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


def write_planes(path, planes, pixel_format="yuv420p", options=None, rate=8, **tags):
    """A lossless clip of raw frames in a pixel format, with tags such as color_trc; no colour is converted on the way."""
    with av.open(str(path), "w") as container:
        height, width = planes[0].shape[0] * 2 // 3, planes[0].shape[1]
        stream = container.add_stream("libx264", rate=rate, options={"qp": "0"} | (options or {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for raw in planes:
            frame = av.VideoFrame.from_ndarray(raw, format=pixel_format)
            for name in ("color_trc", "color_primaries", "colorspace", "color_range"):
                if name in tags:
                    setattr(frame, name, tags[name])
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def flat(y, u, v, size=(64, 48), dtype=np.uint8):
    """A frame of one colour, as planes of yuv420p."""
    width, height = size
    planes = np.empty((height * 3 // 2, width), dtype)
    planes[:height], planes[height : height * 5 // 4], planes[height * 5 // 4 :] = y, u, v
    return planes


def combed(frames=6, size=(64, 48), step=8):
    """A bar that moves, as interlaced planes: odd lines show it half a frame later."""
    height = size[1]
    for index in range(frames):
        planes = flat(40, 128, 128, size)
        for field in (0, 1):
            left = index * step + field * step // 2
            planes[field:height:2, left : left + 8] = 220
        yield planes


VOC_PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 128, 128, 128]
VOC_PALETTE += [0] * (3 * 255 - len(VOC_PALETTE)) + [224, 224, 192]


def labels(values):
    """A label map of 48 x 48: by value, object "a" at the left, "b" at the right, or the border between the two."""
    places = {"a": np.s_[8:40, 6:22], "b": np.s_[8:40, 26:42], "border": np.s_[8:40, 22:26]}
    index = np.zeros((48, 48), np.uint8)
    for value, place in values.items():
        index[places[place]] = value
    return index
