"""Colours of the heat maps: viridis, whose equal steps look equal, in grey print and to the colour-blind too.

Source: nine samples of matplotlib's viridis (Smith and van der Walt, CC0), linear in between.
"""

import bisect

STOPS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")
RGB = tuple(tuple(int(stop[place : place + 2], 16) for place in (0, 2, 4)) for stop in STOPS)
GRADIENT = ", ".join(f"#{stop}" for stop in STOPS)  # as CSS takes it


def viridis(share: float) -> str:
    """The colour at a share in [0, 1], as #rrggbb; shares outside are clipped."""
    place = min(max(share, 0.0), 1.0) * (len(RGB) - 1)
    index = min(int(place), len(RGB) - 2)
    low, high = RGB[index], RGB[index + 1]
    mixed = [a + (place - index) * (b - a) for a, b in zip(low, high, strict=True)]
    return "#" + "".join(f"{round(channel):02x}" for channel in mixed)


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on #rrggbb (WCAG relative luminance)."""
    linear = [(int(colour[place : place + 2], 16) / 255) ** 2.2 for place in (1, 3, 5)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return ("#ffffff", "#000000")[bisect.bisect([0.179], luminance)]
