"""The report in a real browser: videos play, filters filter, the heat map changes, no complaints."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from evaluation.metrics import metric_names
from evaluation.report import CellResult, ReportData, build_report
from tests.support.browser import needs_browser, opened, until

pytestmark = needs_browser

SUBJECTS, MOTIONS = 4, 10


def write_video(path: Path, shade: int) -> None:
    """A bar that moves over eight frames of 64 x 64, at 8 fps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for step in range(8):
            frame = np.full((64, 64, 3), shade, dtype=np.uint8)
            frame[:, step * 8 : step * 8 + 8] = (250, 200, 60)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    Image.new("RGB", (64, 64), "teal").save(folder / "reference.png")
    write_video(folder / "clip.mp4", 40)
    cells = []
    for subject in range(SUBJECTS):
        write_video(folder / f"{subject}.mp4", 60 * subject)
        for motion in range(MOTIONS):
            failed = (subject, motion) == (1, 2)
            scores = dict.fromkeys(metric_names(), 0.5)
            scores |= {"clip_t": subject + motion / 10, "dino_i": motion - subject / 10}
            outcome = ("finished", "", scores, folder / f"{subject}.mp4")
            if failed:
                outcome = ("failed", "out of memory", {}, None)
            names = (f"{subject}-{motion}", f"subject{subject}", f"motion{motion}")
            cells.append(CellResult(*names, "a cat", 0, *outcome, seconds=1.0, reused=False))
    subjects = {f"subject{index}": ("cat", [folder / "reference.png"] * 3) for index in range(SUBJECTS)}
    motions = {f"motion{index}": ("rising", folder / "clip.mp4") for index in range(MOTIONS)}
    data = ReportData("A report", "pocket", "Notice.", [], subjects, motions, cells, {}, "seed: 0\n")
    build_report(data, folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def page(report: Path, tmp_path: Path) -> Iterator[Chrome]:
    """The report, freshly opened."""
    with opened(report, tmp_path / "profile") as driver:
        yield driver


def shown(page: Chrome) -> list[str]:
    titles = "return [...document.querySelectorAll('.card:not([hidden]) h3')].map(title => title.textContent)"
    return page.execute_script(titles)


def test_videos_near_the_view_play_and_others_are_not_loaded(page: Chrome) -> None:
    page.execute_script("document.getElementById('cell-0').scrollIntoView()")
    for kind in ("result", "clip"):
        video = f"document.querySelector('#cell-0 video.{kind}')"
        assert until(page, f"return {video}.readyState >= 2 && {video}.videoWidth === 64")
        start = page.execute_script(f"return {video}.currentTime")
        assert until(page, f"return {video}.currentTime !== {start} && !{video}.paused")
    assert until(page, "return document.querySelector('#cell-0 img').naturalWidth === 64")
    last = f"document.querySelector('#cell-{SUBJECTS * MOTIONS - 1} video')"
    assert not page.execute_script(f"return {last}.hasAttribute('src')")
    page.execute_script(f"{last}.scrollIntoView()")
    assert until(page, f"return {last}.currentTime > 0")
    assert until(page, "return !document.querySelector('#cell-0 video').hasAttribute('src')")


def test_videos_pause_and_go_on(page: Chrome) -> None:
    page.execute_script("document.getElementById('cell-0').scrollIntoView()")
    video = "document.querySelector('#cell-0 video.result')"
    assert until(page, f"return !{video}.paused && {video}.readyState >= 2")
    button = page.find_element(By.ID, "playing")
    page.execute_script("arguments[0].click()", button)
    assert page.execute_script(f"return {video}.paused") and button.text == "Play videos"
    page.execute_script("arguments[0].click()", button)
    assert until(page, f"return !{video}.paused")


def test_filters_and_order(page: Chrome) -> None:
    assert len(shown(page)) == SUBJECTS * MOTIONS
    Select(page.find_element(By.ID, "filter-subject")).select_by_visible_text("subject1")
    assert len(shown(page)) == MOTIONS and all("subject1" in title for title in shown(page))
    assert page.find_element(By.ID, "shown").text == f"{MOTIONS} of {SUBJECTS * MOTIONS} shown"
    Select(page.find_element(By.ID, "sort")).select_by_visible_text("DINO-I, highest first")
    assert [title.split("motion")[1] for title in shown(page)] == list("9876543102"), "failed cells come last"
    Select(page.find_element(By.ID, "filter-motion")).select_by_visible_text("motion3")
    assert shown(page) == ["subject1 × motion3"]
    Select(page.find_element(By.ID, "filter-subject")).select_by_index(0)
    assert len(shown(page)) == SUBJECTS


def test_heat_map_changes_with_the_metric_and_leads_to_the_card(page: Chrome) -> None:
    link = page.find_element(By.CSS_SELECTOR, "#map a[href='#cell-1']")
    before = link.get_attribute("style"), link.get_attribute("title")
    assert before[1] == "subject0 × motion1: 0.100"
    tab = page.find_element(By.XPATH, "//*[@id='map-metric']//label[normalize-space()='DINO-I']")
    page.execute_script("arguments[0].click()", tab)
    assert link.get_attribute("title") == "subject0 × motion1: 1.000"
    assert link.get_attribute("style") != before[0]
    assert page.find_element(By.ID, "scale-high").text == "9.000"
    Select(page.find_element(By.ID, "filter-subject")).select_by_visible_text("subject3")
    page.execute_script("arguments[0].click()", link)
    assert "chosen" in page.find_element(By.ID, "cell-1").get_attribute("class")
    assert until(page, "return document.querySelector('#cell-1 video').currentTime > 0")
    assert len(shown(page)) == SUBJECTS * MOTIONS, "a filter that hides the card is lifted"


def test_heat_map_by_keyboard(page: Chrome) -> None:
    page.execute_script("document.querySelector(\"#map a[tabindex='0']\").focus()")
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert page.find_element(By.ID, "readout").text == "subject1 × motion2: failed"
    assert len(page.find_elements(By.CSS_SELECTOR, "#map a[tabindex='0']")) == 1


def test_fits_a_phone(page: Chrome) -> None:
    size = {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert until(page, "return document.documentElement.scrollWidth <= 420")
