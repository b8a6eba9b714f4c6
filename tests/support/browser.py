"""A real browser: headless Chromium, driven by selenium. Where it is missing, the tests that use it skip."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="needs chromium: apt-get install chromium chromium-driver"
)

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--window-size=1400,900",
)  # fmt: skip


@contextmanager
def opened(file: Path, profile: Path) -> Iterator[webdriver.Chrome]:
    """A page of its own for a file; afterwards its console must be empty."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    try:
        driver.get(file.resolve().as_uri())
        yield driver
        assert driver.get_log("browser") == []
    finally:
        driver.quit()


def until(page: webdriver.Chrome, script: str, *arguments: object) -> object:
    """Wait until a script returns something true."""
    return WebDriverWait(page, 30).until(lambda driver: driver.execute_script(script, *arguments))
