"""What mkdocs does besides: the README as the first page, links out of docs/, and a page for each Python package."""

import posixpath
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("dreamvideo", "evaluation", "flows")
# Pages that lie outside docs/, with their addresses on the site.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "dreamvideo/base_models/README.md": "base-models.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(?<=\]\()(?![a-z+]+:|#|/)([^)#\s]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add to the navigation what this file adds to the site."""
    pages = [address for name, address in OUTSIDE.items() if name != "README.md" and (REPOSITORY / name).exists()]
    config.nav = [*(config.nav or []), *pages, {"Python API": [{name: _address(name)} for name in _packages()]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, and one page for each Python package with the docstrings of its modules."""
    for name, address in OUTSIDE.items():
        if (REPOSITORY / name).exists():
            files.append(File.generated(config, address, abs_src_path=str(REPOSITORY / name)))
    for name, modules in _packages().items():
        text = f"# {name}\n\n" + "\n".join(f"::: {module}\n" for module in modules)
        files.append(File.generated(config, _address(name), content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn each link as it is in the repository into one of the site; what the site does not have becomes a file of it.

    Raises:
        PluginError: a link to a file that the repository does not have.
    """
    source = page.file.src_uri
    by_address = {address: name for name, address in OUTSIDE.items()}
    folder = PurePosixPath(by_address.get(source, f"docs/{source}")).parent

    def on_site(link: re.Match) -> str:
        target = posixpath.normpath(folder / link[1])
        if not (REPOSITORY / target).exists():
            raise PluginError(f"{folder / page.file.name}: link to {link[1]}, which is no file of the repository")
        address = OUTSIDE.get(target) or (target[5:] if target.startswith("docs/") else f"files/{target}")
        if address.startswith("files/") and (REPOSITORY / target).is_file() and address not in files.src_uris:
            files.append(File.generated(config, address, abs_src_path=str(REPOSITORY / target)))
        return posixpath.relpath(address, PurePosixPath(source).parent)

    return LINK.sub(on_site, markdown)


def _packages() -> dict[str, list[str]]:
    """The modules of each package that have docstrings to show, by the package's dotted name."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for name in PACKAGES for path in (REPOSITORY / name).rglob("*.py")):
        module = path.relative_to(REPOSITORY).with_suffix("")
        package = ".".join(module.parent.parts)
        found.setdefault(package, []).append(package if module.name == "__init__" else ".".join(module.parts))
    return found


def _address(package: str) -> str:
    return f"api/{package}.md"
