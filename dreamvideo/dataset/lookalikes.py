"""Find the same photo under two subjects, though it was scaled, encoded anew, brightened or slightly cropped."""

from collections.abc import Sequence

import imagehash
from PIL import Image

SIDE = 16  # of the hash, which has its square in bits
# Bits that may differ. The same photo differs in up to 12 where it is encoded anew, and in 38 where 2% of each side are cut
# off; two photos of different subjects in 70 or more, in the pocket world and in DreamBooth's dataset.
MOST_BITS = 40


def look(image: Image.Image) -> str | None:
    """A perceptual hash of a picture, as hexadecimal digits; None for a picture of one colour, which shows nothing."""
    darkest, brightest = image.convert("L").getextrema()
    if darkest == brightest:
        return None
    return str(imagehash.phash(image, hash_size=SIDE))


def lookalikes(owners: Sequence[str], looks: Sequence[str | None]) -> list[int | None]:
    """For each picture the place of another owner's that looks the same, if there is one.

    Args:
        owners: the subject of each picture.
        looks: of each picture; None where it cannot be read or shows nothing.
    """
    hashes = [int(one, 16) if one else None for one in looks]
    found: list[int | None] = [None] * len(hashes)
    for place, mine in enumerate(hashes):
        for other, theirs in enumerate(hashes[:place]):
            if mine is None or theirs is None or owners[place] == owners[other]:
                continue
            if (mine ^ theirs).bit_count() <= MOST_BITS:
                found[place], found[other] = other, place
    return found
