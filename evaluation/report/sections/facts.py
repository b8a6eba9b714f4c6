"""How the results were made: the command, the versions, the machine and the parameters."""

from itertools import groupby

from evaluation.report.results import Results
from evaluation.report.sections.section import section


@section("facts", order=400)
def facts(results: Results) -> dict[str, object]:
    """The facts by group, in the order of the data."""
    groups = groupby(results.data.facts, key=lambda fact: fact[0])
    return {"groups": [(name, list(found)) for name, found in groups]}
