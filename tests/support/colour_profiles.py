"""ICC profiles, made from primaries and a gamma: https://www.color.org/specification/ICC.1-2001-04.pdf"""

import struct

import numpy as np

DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
D65, D50 = (0.3127, 0.3290), np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_GAMMA = 2.2  # near enough: sRGB's own curve differs from it in the darks


def rgb_profile(primaries=DISPLAY_P3, gamma=SRGB_GAMMA):
    """A profile of RGB pictures whose white is D65."""
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), _to_d50(primaries).T, strict=True)
    tags = {name: b"XYZ " + bytes(4) + b"".join(map(_fixed, column)) for name, column in columns}
    return _profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma)))


def grey_profile(gamma):
    """A profile of grey pictures."""
    return _profile(b"GRAY", {b"kTRC": _curve(gamma)})


def _to_d50(primaries):
    """The matrix from linear RGB to XYZ under D50, which profiles count in."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (*primaries, D65)]).T
    to_xyz = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    adapted = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ xyz[:, 3])) @ BRADFORD
    return adapted @ to_xyz


def _fixed(value):
    return struct.pack(">i", round(float(value) * 65536))


def _curve(gamma):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _profile(colours, tags):
    tags = {b"wtpt": b"XYZ " + bytes(4) + b"".join(map(_fixed, D50))} | tags
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags[b"cprt"] = b"text" + bytes(4) + b"none\0"
    table, content, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(content), len(data))
        content += data
    size = struct.pack(">I", start + len(content))
    header = size + b"lcms" + struct.pack(">I", 0x02400000) + b"mntr" + colours + b"XYZ " + bytes(12) + b"acsp"
    header += bytes(28) + b"".join(map(_fixed, D50))
    return header.ljust(128, b"\0") + table + content
