"""From results to one HTML file. The frame of the page is here; ``evaluation.report.sections`` has its sections."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dreamvideo.files import replacing
from evaluation.report.data import CellResult, ReportData
from evaluation.report.embedding import image_uri, playable, video_uri
from evaluation.report.results import Results, anchor, results_of
from evaluation.report.sections import ordered_sections

__all__ = ["CellResult", "ReportData", "build_report"]


def build_report(data: ReportData, path: Path, resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Write the report; the same data gives the same bytes.

    Args:
        data: what to show.
        path: of the HTML file, which is replaced whole.
        resamples: of the bootstrap behind the intervals.
        seed: of the bootstrap.

    Returns:
        The summary that the report prints, as of ``evaluation.statistics.summarise``.

    Raises:
        InputError: an image or a video is missing or cannot be read.
    """
    results = results_of(data, resamples, seed)
    environment = _environment()
    sections, script = _sections(environment, results)
    failed = [(anchor(place), cell) for place, cell in enumerate(results.cells) if cell.status == "failed"]
    content = {
        "data": data,
        "counts": results.counts,
        "failures": failed,
        "sections": sections,
        "media": _media(data, results.cells),
        "script": script,
    }
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(environment.get_template("report.html.j2").generate(content))
    return results.summary


def _sections(environment: Environment, results: Results) -> tuple[list[Markup], dict[str, Any]]:
    """The HTML of every section in order, and the values for the page's script."""
    pages: list[Markup] = []
    script: dict[str, Any] = {}
    for section in ordered_sections():
        content = section.content(results)
        script |= content.get("script", {})
        template = environment.get_template(f"sections/{section.name}.html.j2")
        pages.append(Markup(template.render(content, data=results.data, counts=results.counts)))
    return pages, script


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    return environment


def duration(seconds: float) -> str:
    """Seconds for a reader: 0.4 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _media(data: ReportData, cells: list[CellResult]) -> Iterator[tuple[str, Markup]]:
    """Name and data URI of every image and video of the cards, each once. It reads a file only when the page needs it."""
    for subject, (_, references) in enumerate(data.subjects.values()):
        for index, reference in enumerate(references):
            yield f"subject-{subject}-{index}", image_uri(reference)
    for motion, (_, clip) in enumerate(data.motions.values()):
        if playable(clip):
            yield f"motion-{motion}", video_uri(clip)
    for place, cell in enumerate(cells):
        if playable(cell.video):
            yield f"video-{place}", video_uri(cell.video)
