"""The class of a section of the report, and the decorator that turns a function into one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dreamvideo.registry import Registry
from evaluation.report.results import Results

Content = Callable[[Results], dict[str, Any]]


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        name: of the section, and of its template ``<name>.html.j2`` beside its module.
        order: place on the page; the lowest number comes first.
        content: makes the values that the template prints. The value under ``script``, a dictionary, also goes to the
            page's script as JSON.
    """

    name: str
    order: int
    content: Content


SECTIONS: Registry[Section] = Registry("report section")


def section(name: str, order: int) -> Callable[[Content], Content]:
    """Decorator: enter a function on results into SECTIONS. The arguments are the fields of :class:`Section`."""

    def enter(content: Content) -> Content:
        SECTIONS.register(name)(Section(name, order, content))
        return content

    return enter
