"""How large a video file is by its own account: what ends before that was cut short.

Containers are nested boxes that begin with their size. Of the outermost ones the sizes are added up here, and whatever is
not such a box ends the count: files from cameras and encoders are whole, and often have something of their own behind.
"""

from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_BOXES = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"]  # with one of these an mp4 or mov begins
_MORE_BOXES = [b"styp", b"sidx", b"moof", b"mfra", b"meta", b"udta", b"uuid"]


def stated_size(path: Path) -> int:
    """How many bytes a video file must have by the sizes that its container states; 0 where it states none.

    Known are mp4 and mov, webm and mkv, and avi.
    """
    with path.open("rb") as file:
        head = file.read(8)
        if head[4:] in _BOXES:
            return _boxes(file)
        if head[:4] == _EBML:
            return _segment(file)
        return _chunks(file) if head[:4] == b"RIFF" else 0


def _boxes(file: BinaryIO) -> int:
    """Where the last box of an mp4 ends: size (4 bytes), type (4), and the size again (8) where it is too large for 4."""
    end = 0
    while True:
        file.seek(end)
        header = file.read(16)
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:], "big")
        if size < 8 or header[4:8] not in _BOXES + _MORE_BOXES:  # of size 0: it goes on to the end of the file
            return end
        end += size


def _segment(file: BinaryIO) -> int:
    """Where the segment of a webm ends, which is all of it but for the header before."""
    file.seek(4)
    header = _vint(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != _SEGMENT:
        return 0
    size = _vint(file)
    return 0 if size is None else file.tell() + size


def _vint(file: BinaryIO) -> int | None:
    """A number as EBML writes it: the zeros before its first one say how many bytes follow; None if all else are ones."""
    first = int.from_bytes(file.read(1))
    following = 8 - first.bit_length()
    bits = 7 * (following + 1)
    value = int.from_bytes(bytes([first]) + file.read(following)) & ((1 << bits) - 1)
    return None if first == 0 or value == (1 << bits) - 1 else value


def _chunks(file: BinaryIO) -> int:
    """Where the last RIFF chunk of an avi ends; there are several where it is large."""
    end, position = 0, 0
    while True:
        file.seek(position)
        header = file.read(8)
        size = int.from_bytes(header[4:], "little")
        if header[:4] != b"RIFF" or size == 0xFFFFFFFF:  # so it is left by what wrote into a pipe
            return end
        end = position + 8 + size
        position = end + size % 2
