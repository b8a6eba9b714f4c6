"""The two roles of an adapter: it learns a subject, or it learns a motion."""

from enum import StrEnum


class Role(StrEnum):
    """What an adapter learns. The value is the name on disk: in weight files, tags, keys and registered models."""

    SUBJECT = "identity"
    MOTION = "motion"

    @property
    def noun(self) -> str:
        """The word for people, and for the columns of tables: "subject" or "motion"."""
        return self.name.lower()
