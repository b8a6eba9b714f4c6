"""What a licence says of commercial use."""

import re

# SPDX identifiers and the words that people write in their place.
_FORBIDDING = re.compile(
    r"\bnc\b|non[- ]?commercial|\bncgl\b"
    r"|(?:no|not|without) (?:for )?commercial"
    r"|\bcommercial (?:use )?(?:is )?(?:strictly )?(?:prohibited|forbidden|not (?:allowed|permitted))\b"
    r"|\b(?:research|academic|educational|personal|private|editorial) (?:use|purpose)"
    r"|\b(?:research|academic|educational|personal|private|editorial) only\b"
    r"|\bonly (?:for|in) (?:\w+ )?(?:research|academic|education|teaching|personal|private|editorial)"
    r"|\ball rights reserved\b",
    re.IGNORECASE,
)
# Licences known to allow it, by their SPDX identifiers, however these are spaced.
_FREE = re.compile(
    r"cc0( 1\.0)?|cc by( sa| nd)?( \d\.\d)?( [a-z]{2,3})?|public domain|pddl 1\.0|unlicense|wtfpl"
    r"|mit|mit 0|0bsd|isc|zlib|ncsa|apache( 2\.0)?|bsd( [234] clause)?|mpl 2\.0|odc by 1\.0|odbl 1\.0"
    r"|[al]?gpl [23]\.[01]( only| or later)?",
    re.IGNORECASE,
)


def non_commercial(licence: str) -> bool:
    """Whether a licence forbids commercial use.

    Args:
        licence: an SPDX expression such as "CC-BY-NC-4.0", or words such as "research only". Of alternatives joined
            by OR, as SPDX writes them, all have to forbid it.
    """
    return all(_FORBIDDING.search(alternative) for alternative in _alternatives(licence))


def commercial_use(licence: str) -> str:
    """What a licence says of commercial use: "forbidden", "allowed" where it is a known free one, or else "unknown"."""
    if non_commercial(licence):
        return "forbidden"
    return "allowed" if any(map(_free, _alternatives(licence))) else "unknown"


def _alternatives(licence: str) -> list[str]:
    return re.split(r"\sOR\s", licence.replace("_", " "))


def _free(alternative: str) -> bool:
    """Whether each of the licences joined by AND is a known free one."""
    spaced = (re.sub(r"[\s-]+", " ", part).strip(" ()") for part in re.split(r"\sAND\s", alternative))
    return all(map(_FREE.fullmatch, spaced))
