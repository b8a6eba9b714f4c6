"""The cards of registered versions: what a version is, what it was made from, how to use it, and its scores."""

from collections.abc import Mapping
from html import escape

from dreamvideo.roles import Role
from flows.tracking.schema import Param

LONGEST = 3800  # characters without the scores; the registry's database takes 5000 in all
SCORES = "\n\n## Scores\n"
_FREE_TEXT = 300  # characters of a field that a person wrote


def adapter_card(
    name: str, role: Role, of: str, base: str, run: Mapping[str, str], source: str, licence: str, forbids: bool,
    data_hash: str, sha256: str,
) -> str:  # fmt: skip
    """The card of an adapter.

    Args:
        name: of the registered model.
        role: what the adapter learnt.
        of: the words for what was learnt.
        base: name of the base model.
        run: the parameters of the training's run.
        source: where the data comes from.
        licence: of the data.
        forbids: whether it forbids commercial use.
        data_hash: the version of the dataset.
        sha256: of the weights.
    """
    told = set(Param)
    recipe = ", ".join(f"{option} {value}" for option, value in sorted(run.items()) if option not in told)
    return _cut(
        f"""\
# {name}

The {role} adapter of *{_plain(of)}* for the base model {base}: {run[Param.PARAMETERS]} parameters, trained with
{run[Param.METHOD]}. It works with that base model (weights {run[Param.BASE_MODEL]}) and that method alone.

## Data
Source: {_plain(source)}. Licence: {_plain(licence)}{" (**no commercial use**)" if forbids else ""}.
Version of the dataset: {data_hash}.

## Training
{recipe}

## Use
`mlflow models serve -m models:/composition.{base}@champion --env-manager local` serves the champions. This version alone:
`mlflow artifacts download -u models:/{name}/VERSION -d FOLDER`, then
`dreamvideo generate --{role.noun}-weights FOLDER/adapter.safetensors ...`.
SHA-256 of adapter.safetensors: {sha256}."""
    )


def composition_card(name: str, base: str, method: str, settings: Mapping[str, object]) -> str:
    """The card of a composition.

    Args:
        name: of the registered model.
        base: name of the base model.
        method: that composes the adapters.
        settings: what decides its videos, besides adapters, prompt and seed.
    """
    listed = ", ".join(f"{option} {value!r}" for option, value in sorted(settings.items()))
    return _cut(
        f"""\
# {name}

Takes rows of subject, motion, prompt and seed, and returns a video each, as base64 of an mp4 file. It composes the
champions of `identity.{base}.<subject>` and `motion.{base}.<motion>` on the base model {base} with {method}. The licences
are those of the adapters.

## Settings
{_plain(listed, 2000)}

## Use
In the repository's folder: `mlflow models serve -m models:/{name}@champion --env-manager local`."""
    )


def with_scores(card: str, scores: Mapping[str, str], cells: int, benchmark: str) -> str:
    """A card with a new section of scores in place of the old one.

    Args:
        card: of a version.
        scores: mean by metric, as printed.
        cells: how many the means are of.
        benchmark: id of the run that they come from.
    """
    rows = "\n".join(f"| {metric} | {value} |" for metric, value in scores.items())
    section = f"Means over {cells} combinations of MLflow run {benchmark}.\n\n| metric | mean |\n|---|---|\n{rows}"
    return card.partition(SCORES)[0] + SCORES + section


def _plain(text: str, longest: int = _FREE_TEXT) -> str:
    """Free text on one line, without markup."""
    return escape(" ".join(text.split())[:longest], quote=False)


def _cut(card: str) -> str:
    return card[:LONGEST]
