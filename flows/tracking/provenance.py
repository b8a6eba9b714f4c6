"""The origin of a run: code, data, software, machine."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from dreamvideo.dataset.catalog import CATALOG_NAME, Catalog
from dreamvideo.files import sha256_file
from dreamvideo.yaml_files import read_yaml

if TYPE_CHECKING:
    from dvc.repo import Repo

PACKAGES = ("torch", "diffusers", "open_clip_torch", "prefect", "mlflow", "dvc", "great_expectations", "pandas")


def git_commit() -> str:
    """The checked-out commit, marked if files differ from it.

    Outside a git repository it is the value of DREAMVIDEO_COMMIT, which the build of an image sets, or "none".
    """

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+uncommitted" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("DREAMVIDEO_COMMIT") or "none"


def data_hash(catalog: Catalog) -> str:
    """The DVC hash of the data if the data is what was committed, otherwise a hash of its own.

    Returns:
        ``<md5>.dir`` as in the .dvc file, or ``uncommitted:<sha256>``.
    """
    pointer = catalog.root.with_name(catalog.root.name + ".dvc")
    if pointer.exists() and _is_clean(pointer):
        return read_yaml(pointer, "restore it with `git checkout`")["outs"][0]["md5"]
    return f"uncommitted:{sha256_file(catalog.root / CATALOG_NAME)}"  # the catalog holds the hashes of all other files


def dvc_repository(folder: Path) -> "Repo":
    """DVC in a folder that need not be a git repository, as in an archive of the code or in an image."""
    from dvc.repo import Repo

    config = None if (folder / ".git").exists() else {"core": {"no_scm": True}}
    return Repo(str(folder.resolve()), config=config)


def _is_clean(pointer: Path) -> bool:
    """Whether DVC finds the tracked folder as it was committed."""
    from dvc.exceptions import DvcException

    try:
        with dvc_repository(pointer.parent) as repo:
            return repo.status(targets=[str(pointer.resolve())]) == {}
    except DvcException:
        return False


def software() -> dict[str, str]:
    """Versions of Python and of the packages that decide results."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def machine() -> dict[str, str]:
    """Processor, cores, memory and accelerator."""
    import torch

    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "accelerator": _accelerator(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _accelerator() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "Apple GPU" if torch.backends.mps.is_available() else "none"


def _processor() -> str:
    """The processor's name, from where Linux or macOS keeps it; elsewhere what Python says."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        if name := asked.stdout.strip():
            return name
    return platform.processor() or "unknown"
