"""Great Expectations' own page of validation results, complete in itself: nothing is fetched."""

import html
import re

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.render import RenderedStringTemplateContent
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

# The browser itself refuses whatever the page might still ask for.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

# Stands in for Bootstrap and Font Awesome, for the classes that the page uses.
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1.5rem; color: #222; }
.row { display: flex; flex-wrap: wrap; gap: 0 1.5rem; }
.col-md-2 { flex: 0 0 12rem; } .col-md-10 { flex: 1 1 40rem; min-width: 0; } .col-12 { flex: 1 1 100%; }
.sticky { position: sticky; top: 1rem; max-height: 95vh; overflow: auto; }
.card-header { font-weight: 600; } .nav { list-style: none; margin: 0; padding: 0; font-size: 0.9rem; }
.nav-link { color: #205493; text-decoration: none; }
.alert { background: #eef1f5; border-radius: 4px; padding: 0.4rem 0.8rem; margin: 1.2rem 0 0.4rem; }
h1 { font-size: 1.5rem; } h4 { margin: 0; }
h5 { font-size: 1.05rem; margin: 0; } h6 { font-size: 0.95rem; margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { border-bottom: 1px solid #dde1e6; padding: 0.35rem 0.6rem; text-align: left; vertical-align: top; }
.badge { background: #e2e6ea; border-radius: 3px; padding: 0 0.3rem; } .collapse { display: none; }
.fa-check-circle::before { content: "\\2713"; } .fa-times::before { content: "\\2717"; }
.fa-exclamation-triangle::before { content: "!"; } .fas { font-style: normal; font-weight: 700; }
.text-success { color: #1a7f37; } .text-danger { color: #b3261e; }
.problems li { margin: 0.3rem 0; }
"""

# What needs scripts or the network, or leads to pages of a site that is not there.
_REMOVED = (
    r"<script\b.*?</script>",
    r"<link\b[^>]*>",
    r"<style\b.*?</style>",
    r"<img\b[^>]*>",
    r"(?<=<body>).*?(?=<div class=\"container-fluid)",
    r"<div class=\"card mb-3\">.*?(?=<div class=\"card d-md-block)",
    r"<p class=\"m-0\">\s*<a\s+data-toggle=\"collapse\".*?</p>",
    r"<footer\b.*?</footer>",
    r"\shref=\"(?!#)[^\"]*\"",
)


def data_docs_page(results: dict[str, ExpectationSuiteValidationResult], problems: list[str]) -> str:
    """One page for all tables of a dataset.

    Args:
        results: by the name of the table.
        problems: sentences to put at the top.

    Returns:
        A whole HTML document, without scripts and without anything that a browser would fetch.
    """
    documents = {name: ValidationResultsPageRenderer().render(result) for name, result in results.items()}
    for name, document in documents.items():
        overview, *columns = document.sections
        overview.section_name = name
        overview.content_blocks[0].header = _heading(name)
        for section in columns:
            section.section_name = f"{name}: {section.section_name}"
    page = next(iter(documents.values()))
    page.sections = [section for document in documents.values() for section in document.sections]
    text = DefaultJinjaPageView().render(page)
    for pattern in _REMOVED:
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    head = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head>'
    return text.replace("</head>", head, 1).replace("<body>", f"<body>{_summary(problems)}", 1)


def _heading(text: str) -> RenderedStringTemplateContent:
    """A heading in Great Expectations' own terms."""
    template = {"template": text, "tag": "h5", "styling": {"classes": ["m-0"]}}
    return RenderedStringTemplateContent(content_block_type="string_template", string_template=template)


def _summary(problems: list[str]) -> str:
    """The verdict, and a list of the problems."""
    if not problems:
        return "<h1>The dataset meets its expectations</h1>"
    items = "".join(f"<li>{html.escape(problem)}</li>" for problem in problems)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f'<h1>The dataset has {count}</h1><ol class="problems">{items}</ol>'
