"""The time and the memory of a first run: `python -m benchmarks.demo` runs `make demo` twice in a bare clone.

It writes benchmarks/demo.json. The machine must do nothing else, and must reach a package index.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console

from flows.tracking.provenance import git_commit, machine


def main() -> None:
    repository = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(repository), str(clone)], check=True)
        installation, demo = measured(clone, ".venv/.installed"), measured(clone, "demo")
        figures = {
            "machine": machine(),
            "commit": git_commit(),
            "installation": installation,
            "demo": demo,
            "demo_again": measured(clone, "demo"),
            "plan_of_the_grid": output(clone, ".venv/bin/dreamvideo", "benchmark", "plan"),
            "seconds_from_a_bare_clone": installation["seconds"] + demo["seconds"],
        }
    (repository / "benchmarks" / "demo.json").write_text(json.dumps(figures, indent=2) + "\n")
    Console().print_json(data=figures)


def measured(folder: Path, target: str) -> dict[str, float]:
    """Seconds that a target takes in the clone, and the peak memory of all its processes together, in GiB."""
    started, most = time.monotonic(), 0
    process = psutil.Popen(["make", "--silent", target], cwd=folder)
    while process.poll() is None:
        most = max(most, sum(map(held, [process, *process.children(recursive=True)])))
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"make {target} failed")
    return {"seconds": round(time.monotonic() - started, 1), "peak_memory_gib": round(most / 2**30, 2)}


def held(process: psutil.Process) -> int:
    """Bytes of a process. Shared memory counts for each process."""
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:  # the process has ended meanwhile
        return 0


def output(folder: Path, *command: str) -> list[str]:
    """The lines that a command prints in the clone."""
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()


if __name__ == "__main__":
    main()
