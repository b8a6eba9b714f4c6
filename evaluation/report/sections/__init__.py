"""The sections of the report: one Python file and one template each. The report finds every file of this folder."""

import importlib
import pkgutil

from evaluation.report.sections.section import SECTIONS, Section, section

__all__ = ["SECTIONS", "Section", "ordered_sections", "section"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def ordered_sections() -> list[Section]:
    """All sections, from the top of the page to the bottom."""
    return sorted((SECTIONS[name] for name in SECTIONS), key=lambda section: (section.order, section.name))
