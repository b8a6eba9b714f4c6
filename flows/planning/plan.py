"""What a benchmark consists of, by key: adapters and cells. Planning loads no model.

A key is a hash of everything that decides a result. So if a finished run has the key of a result, nothing makes the result again.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from dreamvideo.dataset.catalog import Catalog, Motion
from dreamvideo.dataset.prompts import Prompt
from dreamvideo.errors import InputError
from dreamvideo.files import content_key
from dreamvideo.methods import methods
from dreamvideo.methods.contract import Method
from dreamvideo.params import Params
from flows.planning.keys import AdapterPlan, CellPlan, Keys
from flows.planning.selection import Selection, templates_for


@dataclass(frozen=True)
class Plan:
    """Everything a benchmark needs."""

    adapters: tuple[AdapterPlan, ...]
    cells: tuple[CellPlan, ...]


def build_method(params: Params) -> Method:
    """The profile's method. The options of the other methods are checked, too.

    Raises:
        InputError: a method or an option does not exist.
    """
    built = {name: methods[name](options) for name, options in params.methods.items()}
    return built[params.method]


def plan_selection(params: Params, catalog: Catalog, selection: Selection) -> Plan:
    """The plan of a selection."""
    return plan_benchmark(
        params,
        catalog,
        *selection.chosen(catalog),
        selection.prompts or params.benchmark.prompts,
        params.benchmark.seed if selection.seed is None else selection.seed,
    )


def plan_benchmark(
    params: Params, catalog: Catalog, subjects: Sequence[str], motions: Sequence[str], prompts: int, seed: int
) -> Plan:
    """Every adapter and every cell of a benchmark over chosen subjects and motions.

    Raises:
        InputError: two combinations would be the same cell.
    """
    keys = Keys(params, build_method(params), catalog)
    adapters = [keys.adapter(catalog.subject(name)) for name in subjects]
    adapters += [keys.adapter(catalog.motion(name)) for name in motions]
    cells = []
    for subject in map(catalog.subject, subjects):
        for motion in map(catalog.motion, motions):
            for prompt in prompts_for(catalog.prompts, subject.name, motion, prompts):
                cells.append(keys.cell(subject, motion, prompt, seed))
    seen: dict[str, CellPlan] = {}
    for cell in cells:
        other = seen.setdefault(cell.key, cell)
        if other is not cell:
            raise InputError(
                f"{cell.subject} x {cell.motion} and {other.subject} x {other.motion} have the same content and prompt; "
                "remove one of them from the catalog"
            )
    return Plan(tuple(adapters), tuple(cells))


def prompts_for(prompts: Sequence[Prompt], subject: str, motion: Motion, count: int) -> list[str]:
    """The prompts of one combination. They differ between combinations, and depend on the names alone."""
    templates = templates_for(prompts, count)
    first = int(content_key([subject, motion.name]), 16) % len(templates)
    chosen = [templates[(first + index) % len(templates)] for index in range(count)]
    return [sys.intern(template.fill(motion.words)) for template in chosen]  # cells share one text in memory
