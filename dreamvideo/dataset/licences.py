"""What a licence says of commercial use."""

import re

# SPDX identifiers and the words that people write in their place.
_FORBIDDING = re.compile(
    r"\bnc\b|non[- ]?commercial|\bncgl\b"
    r"|(?:no|not|without) (?:for )?commercial"
    r"|\b(?:research|academic|educational|personal|private)(?: use| purposes?)*(?: use| purposes?)? only\b"
    r"|\bonly (?:for|in) (?:\w+ )?(?:research|academic|education|teaching|personal|private)",
    re.IGNORECASE,
)


def non_commercial(licence: str) -> bool:
    """Whether a licence forbids commercial use.

    Args:
        licence: an SPDX expression such as "CC-BY-NC-4.0", or words such as "research only". Of alternatives joined
            by OR, as SPDX writes them, all have to forbid it.
    """
    return all(_FORBIDDING.search(alternative) for alternative in re.split(r"\sOR\s", licence))
