"""Describe a profile without loading weights: the networks are built on the meta device and counted."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import nn

from dreamvideo.base_models import describe_base_model
from dreamvideo.base_models.loading import is_hub_id
from dreamvideo.params import Params
from flows.planning.plan import build_method

UNIT = 2**20  # the paper counts parameters in units of 2^20, rounded down


def describe(params: Params) -> dict:
    """The profile as JSON: base model, trainable parameters by stage, and settings.

    Raises:
        InputError: the base model's configuration is damaged.
    """
    networks = describe_base_model(params.base_model)
    method = build_method(params)
    stages = method.trainable_parameters(networks)
    return {
        "profile": params.profile,
        "base_model": {
            "name": params.base_model.name,
            "parameters": {"unet": count(networks.unet)},
            "configuration": "published" if networks.published else "own",
        },
        "method": {
            "name": method.name,
            "trainable_parameters": stages,
            "trainable_parameters_in_2^20": {stage: number // UNIT for stage, number in stages.items()},
        },
        "settings": params.model_dump(mode="json"),
    }


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def in_units(number: int) -> str:
    """A number of parameters the way the paper prints it, in units of 2^20; below one, in those of 2^10."""
    if number < UNIT:
        return f"{number // 2**10}K" if number >= 2**10 else "<1K"
    return str(number // UNIT)


def show(description: dict, console: Console) -> None:
    """Print a description for people."""
    method = description["method"]
    table = Table(
        "stage",
        "trainable parameters",
        "in 2^20, as the paper counts",
        title=f"{method['name']} on {description['base_model']['name']}",
    )
    for stage, number in method["trainable_parameters"].items():
        table.add_row(stage, f"{number:,}", in_units(number))
    console.print(f"profile [bold]{description['profile']}[/]")
    base = description["base_model"]
    console.print(f"UNet: {base['parameters']['unet']:,} parameters, frozen")
    if base["configuration"] == "published":
        weights = Path(description["settings"]["base_model"]["weights"])
        why = "not fetched yet" if is_hub_id(weights) else "no weights there"
        console.print(f"published configuration, {why}: {weights}", soft_wrap=True)
    console.print(table)
    console.print(f"all settings: dreamvideo describe --profile {description['profile']} --json")
