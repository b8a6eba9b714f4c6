"""How long a newcomer waits: `python -m benchmarks.demo` runs `make demo` in a bare clone, and then again.

Writes benchmarks/demo.json. The machine must have nothing else to do, and the package index be at hand.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console

from flows.provenance import git_commit, machine


def main() -> None:
    repository = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(repository), str(clone)], check=True)
        figures = {
            "machine": machine(),
            "commit": git_commit(),
            "seconds_of_installation": timed(clone, "make", "--silent", ".venv/.installed"),
            "seconds_of_demo": timed(clone, "make", "--silent", "demo"),
            "seconds_of_demo_again": timed(clone, "make", "--silent", "demo"),
            "plan_of_the_grid": output(clone, ".venv/bin/dreamvideo", "benchmark", "plan"),
        }
    figures["seconds_from_a_bare_clone"] = figures["seconds_of_installation"] + figures["seconds_of_demo"]
    (repository / "benchmarks" / "demo.json").write_text(json.dumps(figures, indent=2) + "\n")
    Console().print_json(data=figures)


def timed(folder: Path, *command: str) -> float:
    """Seconds that a command takes there."""
    started = time.monotonic()
    subprocess.run(command, cwd=folder, check=True)
    return round(time.monotonic() - started, 1)


def output(folder: Path, *command: str) -> list[str]:
    """The lines that a command prints there."""
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()


if __name__ == "__main__":
    main()
