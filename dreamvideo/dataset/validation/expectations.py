"""The data gate: what a dataset must be for training and scoring to mean something, as Great Expectations."""

import logging
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations import expectations as gxe
from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig

from dreamvideo.dataset.catalog import Catalog
from dreamvideo.dataset.validation.checks import Check, Requirements, assets
from dreamvideo.dataset.validation.data_docs import data_docs_page
from dreamvideo.dataset.validation.probing import Row

# It sets this one's level itself, to tell of its temporary folders.
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)


@dataclass(frozen=True)
class GateResult:
    """The gate's verdict."""

    success: bool
    problems: tuple[str, ...]  # one sentence each, naming the file and the remedy
    report: dict[str, Any]  # Great Expectations' own results; JSON without NaN
    html: str  # Great Expectations' own page of them, complete in itself


def validate(catalog: Catalog, requirements: Requirements) -> GateResult:
    """Probe every file of a dataset and hold it against what a run requires.

    Files that cannot be read are problems in the result; nothing is raised for them.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("dataset")
    results: dict[str, ExpectationSuiteValidationResult] = {}
    problems: list[str] = []
    for name, rows, checks in assets(catalog, requirements):
        # Without rows, only what is said of the whole table means anything.
        checks = [
            check for check in checks if rows or isinstance(check.expectation, gxe.ExpectTableRowCountToBeBetween)
        ]
        for index, check in enumerate(checks):
            check.expectation.meta = {"check": index}
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        suite = gx.ExpectationSuite(name=name, expectations=[check.expectation for check in checks])
        definition = gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite))
        results[name] = context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": pd.DataFrame(rows)}, result_format={"result_format": "COMPLETE"}
        )
        problems += _sentences(name, rows, checks, results[name])
    problems = list(dict.fromkeys(problems))
    report = {
        "success": not problems,
        "problems": problems,
        "requirements": asdict(requirements),
        "assets": {name: result.to_json_dict() for name, result in results.items()},
    }
    page = data_docs_page(results, problems)
    return GateResult(not problems, tuple(problems), _without_nan(report), page)


def _sentences(
    asset: str, rows: list[Row], checks: list[Check], result: ExpectationSuiteValidationResult
) -> Iterable[str]:
    """One sentence for each row that breaks an expectation."""
    outcomes = [(config, outcome) for outcome in result.results if (config := outcome.expectation_config)]
    for config, outcome in sorted(outcomes, key=lambda pair: pair[0].meta["check"]):
        if outcome.success:
            continue
        check = checks[config.meta["check"]]
        failed = outcome.result.get("unexpected_index_list")
        if failed:
            yield from (check.problem(SimpleNamespace(**rows[index])) for index in failed)
        elif "observed_value" in outcome.result:
            yield check.problem(SimpleNamespace(count=outcome.result["observed_value"]))
        else:
            yield f"{asset}: {config.type} could not be evaluated; see the data report"


def _without_nan(value: Any) -> Any:
    """A JSON value with None for NaN and the infinities."""
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
