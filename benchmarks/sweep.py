"""Vary DreamVideo's settings one at a time, on subjects and motions outside the dataset: `make sweep`.

The base model may have seen similar paths: its training avoids only the paths of the dataset.

Every variant is a benchmark in the MLflow experiment "sweep". Variants share adapters that have the same key. A stopped
sweep continues. It prints the difference of each variant from params.yaml, paired by combination, with 95% intervals.
"""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from dreamvideo.params import Params, load_params
from dreamvideo.pocket_world.build import build_dataset
from dreamvideo.pocket_world.motions import TargetMotion, hopping, orbit, through, wave
from dreamvideo.pocket_world.sampling import Identity
from flows.benchmark import run_benchmark
from flows.planning.selection import Selection
from flows.reports.compare import compare_runs

FOLDER = Path("sweep")
SUBJECTS = {
    "blue_cat": Identity("cat", "blue", "lower_half", "yellow", (0.4, -0.3, 0.5)),
    "pink_car": Identity("car", "pink", "band", "blue", (-0.2, 0.6, 0.1)),
    "white_robot": Identity("robot", "white", "spots", "green", (0.5, 0.1, -0.6)),
}
MOTIONS = {
    "hop_up": TargetMotion("hopping to the right", 2, hopping(0.3, -0.7, 3, 0.3)),
    "hook": TargetMotion("wandering", 1, through((0.4, 0), (-0.4, 0), (-0.4, 0.4), (0, 0.4))),
    "step_down": TargetMotion("wandering", 3, through((-0.4, -0.4), (0, -0.4), (0, 0.4), (0.4, 0.4))),
    "zigzag_slope": TargetMotion("weaving to the right", 2, through((-0.4, 0.15), (-0.25, 0.4), (-0.05, -0.05), (0.1, 0.2), (0.4, -0.4))),
    "wave_slope": TargetMotion("weaving to the right", 2, wave(0.65, -0.65, 1, 0.25)),
    "bow_tie": TargetMotion("wandering", 3, through((-0.35, -0.3), (0.35, 0.3), (0.35, -0.3), (-0.35, 0.3), (-0.35, -0.3))),
    "narrow_orbit": TargetMotion("orbiting", 2, orbit(0.15, 0.4, -1, start=0.125)),
    "ess": TargetMotion("weaving down", 1, wave(0, 0.8, 1.5, 0.35)),
}  # fmt: skip
PROMPTS = 3  # for each of the 24 combinations, because one video says little about a path
VARIANTS = {
    "random_shift": (0.0, 0.5),
    "textual_inversion.learning_rate": (5e-4, 5e-3),
    "identity_adapter.learning_rate": (2e-4, 2e-3),
    "identity_adapter.steps": (75, 300),
    "motion_adapter.learning_rate": (5e-4, 2e-3),
    "motion_adapter.steps": (280, 1120),
    "motion_adapter.timestep_exponent": (0.5, 1.0),
    "motion_adapter.appearance_dropout": (0.0, 0.9),
    "motion_adapter.caption_dropout": (0.5,),
    "bottleneck": (0.25, 1.0),
    "appearance_strength": (0.5,),
    "identity_strength": (0.5,),
    "motion_strength": (1.0, 1.5),
}
SHOWN = ("clip_i", "dino_i", "subject_oracle", "trajectory_oracle", "clip_t")


def main() -> None:
    build_dataset(FOLDER / "data", subjects=SUBJECTS, motions=MOTIONS)
    params = held_out(load_params(method="dreamvideo"))
    request = Selection(prompts=PROMPTS)
    shipped = run_benchmark(params, request)
    table = Table("variant", *SHOWN, title="change against params.yaml")
    base = run_benchmark(params.model_copy(update={"method": "uncustomized"}), request)
    table.add_row("uncustomized", *differences(params, base.run_id, shipped.run_id))
    for knob, values in VARIANTS.items():
        for value in values:
            outcome = run_benchmark(with_option(params, knob, value), request)
            table.add_row(f"{knob}: {value}", *differences(params, outcome.run_id, shipped.run_id))
            Console().print(table)


def held_out(params: Params) -> Params:
    """The profile with the sweep's own data and its own experiment."""
    data = {"root": FOLDER / "data", "subjects": len(SUBJECTS), "motions": len(MOTIONS)}
    return params.model_copy(
        update={
            "data": params.data.model_copy(update=data),
            "promotion": None,  # a sweep registers nothing
            "tracking": params.tracking.model_copy(update={"experiment": "sweep"}),
        }
    )


def with_option(params: Params, knob: str, value: float) -> Params:
    """The profile with another value of one of DreamVideo's options. Dots separate the parts of its name."""
    *sections, last = knob.split(".")
    changed = params.model_copy(deep=True)
    options = changed.methods["dreamvideo"]
    for section in sections:
        options = options[section]
    assert last in options, knob
    options[last] = value
    return changed


def differences(params: Params, run_id: str, shipped: str) -> list[str]:
    """The shown metrics of a run minus those of the shipped settings, each with its interval."""
    rows = compare_runs(params, run_id, shipped).set_index("metric")
    return [f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})" for row in (rows.loc[name] for name in SHOWN)]


if __name__ == "__main__":
    main()
