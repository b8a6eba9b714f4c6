"""The report as a file: what is in it, what is not, and that the same data gives the same bytes."""

import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from dreamvideo.errors import InputError
from evaluation.report import CellResult, ReportData, build_report
from evaluation.report.build import duration
from evaluation.report.palette import ink_on, viridis

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>"


def example(folder: Path, **changes: object) -> ReportData:
    """Two subjects, two motions, four cells: one failed, one without oracle scores, one reused."""
    for name in ("one.png", "two.png"):
        Image.new("RGB", (64, 64), "teal").save(folder / name)
    clip = folder / "clip.mp4"
    clip.write_bytes(b"a clip")

    def cell(subject: str, motion: str, value: float, **changes: object) -> CellResult:
        video = folder / f"{subject}-{motion}.mp4"
        video.write_bytes(f"{subject} {motion}".encode())
        metrics = {"clip_t": value, "subject_oracle": value / 2}
        key = f"key-{subject}-{motion}"
        finished = CellResult(key, subject, motion, "a cat rising", 7, "finished", "", metrics, video, 2.0, False)
        return dataclasses.replace(finished, **changes)

    data = ReportData(
        title="A report",
        profile="pocket",
        notice="Not comparable.",
        facts=[("What was run", "Git commit", "abc123"), ("Machine", "Memory", "8 GiB")],
        subjects={
            "cat": ("cat", [folder / "one.png", folder / "two.png"]),
            "van": ("car", [folder / "two.png"]),
        },
        motions={"rise": ("rising", clip), "fall": ("falling", clip)},
        cells=[
            cell("cat", "rise", 0.25),
            cell("cat", "fall", 0.75, reused=True),
            cell("van", "rise", 0.5, metrics={"clip_t": 0.5, "subject_oracle": math.nan}),
            cell("van", "fall", 0, status="failed", reason="out of memory", metrics={}, video=None),
        ],
        oracle_accuracy={"subject_oracle": 0.987, "scene": 0.5},
        params_yaml="seed: 0\n",
    )
    return dataclasses.replace(data, **changes)


def built(folder: Path, **changes: object) -> str:
    build_report(example(folder, **changes), folder / "report.html")
    return (folder / "report.html").read_text()


class Page(HTMLParser):
    """The tags of a page and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))


def report_data(html: str) -> dict:
    return json.loads(re.search(r'id="report-data">(.*?)</script>', html, re.S)[1])


def test_same_data_same_bytes_in_any_order_of_cells(tmp_path: Path) -> None:
    first = built(tmp_path)
    assert built(tmp_path, cells=example(tmp_path).cells[::-1]) == first


def test_returns_the_summary_it_prints(tmp_path: Path) -> None:
    summary = build_report(example(tmp_path), tmp_path / "report.html").set_index("metric")
    assert summary.loc["clip_t", "mean"] == pytest.approx(0.5)
    assert (summary.loc["clip_t", "n"], summary.loc["clip_t", "failed"]) == (3, 1)
    assert summary.loc["subject_oracle", "n"] == 2
    html = (tmp_path / "report.html").read_text()
    assert ">0.500</td>" in html and ">0.987</td>" in html and "scene 0.500" in html


def test_asks_nothing_of_the_network(tmp_path: Path) -> None:
    html = built(tmp_path)
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
    for tag, attributes in Page(html).tags:
        for name in ("src", "href", "poster", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert "default-src 'none'" in html
    assert "url(" not in html and "@import" not in html


def test_each_file_is_embedded_once(tmp_path: Path) -> None:
    html = built(tmp_path)
    assert html.count("data:image/png;base64,") == 3
    assert html.count("data:video/mp4;base64,") == 2 + 3
    named = {attributes["data-media"] for _, attributes in Page(html).tags if "data-media" in attributes}
    embedded = set(re.findall(r'id="media-([^"]+)"', html))
    assert named == embedded


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    plain = example(tmp_path)
    names = {"subject": HOSTILE, "motion": HOSTILE, "prompt": HOSTILE, "metrics": {HOSTILE: 0.5}}
    cells = [dataclasses.replace(cell, key=f"{place}{HOSTILE}", **names) for place, cell in enumerate(plain.cells)]
    cells[0] = dataclasses.replace(cells[0], status="failed", reason=HOSTILE)
    html = built(
        tmp_path,
        title=HOSTILE,
        profile=HOSTILE,
        notice=HOSTILE,
        facts=[(HOSTILE, HOSTILE, HOSTILE)],
        subjects={HOSTILE: (HOSTILE, plain.subjects["cat"][1])},
        motions={HOSTILE: (HOSTILE, plain.motions["rise"][1])},
        cells=cells,
        oracle_accuracy={HOSTILE: 0.5, f"other {HOSTILE}": 0.5},
        params_yaml=HOSTILE,
    )
    page = Page(html)
    assert "alert(1)</script>" not in html
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert len(scripts) == 2 + html.count('id="media-')
    assert report_data(html)["maps"][0]["name"] == HOSTILE


def test_what_is_not_known_is_a_dash_and_null(tmp_path: Path) -> None:
    html = built(tmp_path)
    data = report_data(html)
    assert not re.search(r"\bnan\b", re.sub(r"base64,[^<]*", "", html), re.I)
    assert data["cells"][2]["scores"]["subject_oracle"] is None
    oracle = next(m for m in data["maps"] if m["name"] == "subject_oracle")
    assert oracle["cells"][2] is None
    assert oracle["rows"] == ["0.250", "—"]
    assert "<dd>—</dd>" in html


def test_a_failed_cell_is_shown_counted_and_in_no_mean(tmp_path: Path) -> None:
    html = built(tmp_path)
    data = report_data(html)
    assert data["cells"] == [
        {"subject": 0, "motion": 0, "scores": {"clip_t": 0.25, "subject_oracle": 0.125}},
        {"subject": 0, "motion": 1, "scores": {"clip_t": 0.75, "subject_oracle": 0.375}},
        {"subject": 1, "motion": 0, "scores": {"clip_t": 0.5, "subject_oracle": None}},
        {"subject": 1, "motion": 1, "scores": {}},
    ]
    assert data["maps"][0]["cells"][3] is None
    assert html.count("out of memory") == 2
    assert '<td class="failed">' in html
    assert "1 failed cell" in html


def test_several_seeds_at_a_crossing_are_averaged(tmp_path: Path) -> None:
    first = example(tmp_path).cells[0]
    second = dataclasses.replace(first, key="again", seed=8, metrics={"clip_t": 0.75, "subject_oracle": 0.1})
    broken = dataclasses.replace(first, key="broken", seed=9, status="failed", metrics={}, video=None)
    html = built(tmp_path, cells=[second, first, broken])
    assert report_data(html)["maps"][0]["cells"] == [["#21918c", "#000000", "0.500"], None, None, None]
    assert '<td class="partial">' in html and '<td class="empty">' in html


def test_a_report_of_nothing_is_a_report(tmp_path: Path) -> None:
    html = built(tmp_path, cells=[])
    assert report_data(html) == {"maps": [], "cells": []}


def test_large_images_are_scaled_down_and_odd_clips_are_said_not_to_play(tmp_path: Path) -> None:
    Image.effect_noise((2000, 1000), 80).save(tmp_path / "large.png")
    html = built(
        tmp_path,
        subjects={"cat": ("cat", [tmp_path / "large.png"] * 5), "van": ("car", [])},
        motions={"rise": ("rising", tmp_path / "clip.avi"), "fall": ("falling", tmp_path / "clip.mp4")},
    )
    assert html.count("data:image/jpeg;base64,") == 5, "every reference image"
    assert len(html) < 200_000
    assert "no clip that a browser plays" in html


def test_bad_data_is_refused(tmp_path: Path) -> None:
    data = example(tmp_path)
    with pytest.raises(InputError, match="did you mean 'cat'"):
        dataclasses.replace(data, cells=[dataclasses.replace(data.cells[0], subject="catt")])
    with pytest.raises(InputError, match="2 times"):
        dataclasses.replace(data, cells=[data.cells[0]] * 2)
    data.cells[0].video.unlink()
    with pytest.raises(InputError, match="must exist"):
        build_report(data, tmp_path / "new.html")
    assert not (tmp_path / "new.html").exists()


def test_colours() -> None:
    assert (viridis(0), viridis(1), viridis(-1), viridis(2)) == ("#440154", "#fde725", "#440154", "#fde725")
    assert (ink_on("#440154"), ink_on("#fde725")) == ("#ffffff", "#000000")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, "0.4 s"), (59.9, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_summary_is_a_table(tmp_path: Path) -> None:
    assert isinstance(build_report(example(tmp_path), tmp_path / "report.html"), pd.DataFrame)
