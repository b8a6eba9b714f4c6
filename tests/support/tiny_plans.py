"""Plans over a catalog in miniature, of which no file but catalog.yaml exists."""

import hashlib
from pathlib import Path

from safetensors.torch import save_file
from torch import ones

from dreamvideo.dataset.catalog import Catalog, load_catalog
from dreamvideo.params import Params
from dreamvideo.yaml_files import to_yaml
from flows.planning.plan import Plan, plan_benchmark

SUBJECTS, MOTIONS = ("cat", "dog", "van"), ("zigzag", "square")
TEMPLATES = ("a * is {motion} on the beach", "a * is {motion} in the snow", "a * is {motion} at night")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def entries() -> dict:
    """The content of a catalog.yaml; planning opens no other file of a dataset."""
    common = {"source": "a camera", "licence": "CC0-1.0"}
    subjects = {
        name: common
        | {
            "class_word": name,
            "kind": "object" if name == "van" else "pet",
            "images": [f"{name}/0.png", f"{name}/1.png"],
            "sha256": {f"{name}/{i}.png": digest(f"{name}{i}") for i in (0, 1)},
        }
        for name in SUBJECTS
    }
    motions = {
        name: common
        | {
            "words": f"moving in a {name}",
            "kind": "trajectory",
            "clips": [{"path": f"{name}/0.mp4", "caption": f"a dog is moving in a {name}"}],
            "sha256": {f"{name}/0.mp4": digest(name)},
        }
        for name in MOTIONS
    }
    prompts = [{"text": text, "kind": "subject_motion_context"} for text in TEMPLATES]
    prompts.insert(1, {"text": "a * on the beach", "kind": "subject_context"})
    return {"subjects": subjects, "motions": motions, "prompts": prompts}


def write_catalog(folder: Path, content: dict) -> Catalog:
    folder.mkdir(exist_ok=True)
    (folder / "catalog.yaml").write_text(to_yaml(content))
    return load_catalog(folder)


def write_weights(folder: Path, value: float) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({"weight": ones(2) * value}, folder / "net.safetensors")
    return folder


def changed(params: Params, section: str, **values: object) -> Params:
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


def with_option(params: Params, *path: str, to: object) -> Params:
    """Parameters with one option of the method at another value."""
    content = params.model_dump(mode="json")
    section = content["methods"]["dreamvideo"]
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = to
    return Params.model_validate(content)


def plan(params: Params, catalog: Catalog, subjects=SUBJECTS, motions=MOTIONS, prompts: int = 2, seed: int = 0) -> Plan:
    return plan_benchmark(params, catalog, subjects, motions, prompts, seed)


def adapters(plan: Plan, kind: str) -> dict[str, str]:
    return {adapter.name: adapter.key for adapter in plan.adapters if adapter.role == kind}


def cells(plan: Plan, key: str = "key") -> dict[tuple, str]:
    return {(cell.subject, cell.motion, cell.prompt): getattr(cell, key) for cell in plan.cells}
