"""Links hold in the repository and on the documentation site; one that leads nowhere fails the build."""

from pathlib import Path

import pytest
from mkdocs.config import load_config
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def config():
    return load_config(str(REPOSITORY / "mkdocs.yml"))


def on_site(config, address, text, files):
    """What the site makes of a page's text."""
    page = Page(None, File(address, None, "", use_directory_urls=True), config)
    return config.plugins.on_page_markdown(text, page=page, config=config, files=files)


@pytest.mark.parametrize(
    ("page", "link", "address"),
    [
        ("operations.md", "performance.md#speed", "performance.md#speed"),
        ("operations.md", "../prefect.yaml", "files/prefect.yaml"),
        ("results/README.md", "../../README.md", "../index.md"),
        ("index.md", "docs/pocket.md#dreamvideo-on-it", "pocket.md#dreamvideo-on-it"),
        ("index.md", "params.yaml", "files/params.yaml"),
        ("index.md", "https://arxiv.org/abs/2312.04433", "https://arxiv.org/abs/2312.04433"),
    ],
)
def test_a_link_of_the_repository_becomes_one_of_the_site(config, page, link, address):
    files = Files([])
    assert on_site(config, page, f"[a]({link})", files) == f"[a]({address})"
    assert set(files.src_uris) == ({address} if address.startswith("files/") else set())


def test_a_link_to_no_file_is_refused(config):
    with pytest.raises(PluginError, match=r"gone\.md"):
        on_site(config, "operations.md", "[a](gone.md)", Files([]))


def test_every_package_has_a_page(config):
    addresses = set(config.plugins.on_files(Files([]), config=config).src_uris)
    assert {"index.md", "api/dreamvideo.methods.md", "api/evaluation.metrics.md", "api/flows.planning.md"} <= addresses
