"""params.yaml to frozen, typed parameters: parsed once, at the edge, and refused whole if a key is unknown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from dreamvideo.errors import InputError, masked, unknown_name
from dreamvideo.user_input import Section, validated
from dreamvideo.yaml_files import read_yaml

if TYPE_CHECKING:
    import torch

SolverName = Literal["ddim", "dpmsolver++", "unipc"]


class DataParams(Section):
    """The dataset and how clips are read."""

    root: Path
    subjects: int = Field(gt=0)
    motions: int = Field(gt=0)
    image_size: int = Field(gt=0)
    num_frames: int = Field(gt=1)
    fps: float = Field(gt=0)


class BaseModelParams(Section):
    """The frozen video diffusion model."""

    name: str
    weights: Path  # a folder, or hub:OWNER/NAME@COMMIT
    appearance: Path | None = None  # the same for the image encoder, where it is not among the weights
    offset_noise: float = Field(ge=0)


class ComputeParams(Section):
    """What the networks run on."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    compiled: bool = False  # blocks of the denoiser, by torch.compile: minutes, once a process

    def torch_device(self) -> "torch.device":
        """The device; "auto" is the CUDA GPU where there is one, else the CPU. An Apple GPU has to be asked for.

        Raises:
            InputError: a GPU is asked for, and there is none.
        """
        import torch

        available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        name = self.device if self.device != "auto" else "cuda" if available["cuda"] else "cpu"
        if not available[name]:
            raise InputError(
                f"params.yaml: compute.device is {name!r}, but torch sees no such GPU; install its driver or use auto"
            )
        return torch.device(name)


class ExecutionParams(Section):
    """Where the tasks of a benchmark run. Results depend on the threads of a process alone, and on these in the last bits."""

    runner: Literal["local", "processes", "ray"] = "local"
    address: str | None = None  # of a Ray cluster; none: one is started on this machine for the time of the benchmark
    workers: int = Field(default=1, gt=0)  # processes of this machine; of a Ray cluster with GPUs there is one a GPU
    overlap: bool = False  # local: save, score and log a video in a second thread while the next is sampled


class SamplingParams(Section):
    """Sampling with classifier-free guidance."""

    solver: SolverName = "ddim"

    steps: int = Field(gt=0, le=1000)  # of the 1,000 that the base models were trained with
    guidance_scale: float = Field(ge=0)
    negative_prompt: str
    # Share of the initial noise that is the motion's own clip, inverted by DDIM.
    inversion_strength: float = Field(default=0.0, ge=0, le=1)

    def recipe(self) -> dict:
        """All that decides a video. DDIM is left out, so that videos from before there was a choice keep their keys."""
        return self.model_dump(exclude={"solver"} if self.solver == "ddim" else set())


class EvaluationParams(Section):
    """The metric encoders and the bootstrap."""

    weights: Path
    encoders: str
    bootstrap_resamples: int = Field(gt=0)


class StageParams(Section):
    """One stage of training."""

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    learning_rate: float = Field(gt=0)


class PretrainingStage(StageParams):
    """One stage of pretraining."""

    ema: float = Field(default=0.0, ge=0, lt=1)
    threads: int = Field(
        default=1, ge=1, le=1
    )  # its network or its loss compares what is in a batch, so that no batch can be shared


class SharedStage(PretrainingStage):
    """A stage whose batches threads may share: nothing in its network or loss looks across a batch."""

    threads: int = Field(default=1, gt=0)  # that share every batch, each with one CPU core; 1: torch's own threads

    @model_validator(mode="after")
    def _batch_is_shared_evenly(self) -> "SharedStage":
        if self.batch_size % self.threads:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of threads {self.threads}")
        return self


class PretrainingParams(Section):
    """How the base model and the metric encoders are trained, where the profile trains its own."""

    clips: int = Field(gt=0, multiple_of=32)
    seed: int
    vae: SharedStage
    clip: PretrainingStage
    oracle: PretrainingStage
    dino: PretrainingStage
    clip_metric: PretrainingStage
    images: SharedStage
    motion_words: SharedStage
    clips_and_images: SharedStage


class BenchmarkParams(Section):
    """What a benchmark run covers by default."""

    prompts: int = Field(gt=0)
    seed: int


class PromotionParams(Section):
    """When a challenger may become the champion of a registered model; left out, nothing is registered."""

    automatic: bool = False  # by the benchmark that shows it, without a person
    confidence: float = Field(gt=0.5, lt=1)  # with which all bounds hold together
    # By metric, the loss that is accepted.
    margins: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(min_length=1)


class TrackingParams(Section):
    """Where MLflow remembers."""

    uri: str
    artifacts: Path
    experiment: str


class Params(Section):
    """One profile of params.yaml."""

    notice: str
    data: DataParams
    base_model: BaseModelParams
    compute: ComputeParams = ComputeParams()
    execution: ExecutionParams = ExecutionParams()
    method: str
    methods: dict[str, dict[str, Any]]  # the options of each: the method itself checks them
    sampling: SamplingParams
    evaluation: EvaluationParams
    pretraining: PretrainingParams | None = None
    benchmark: BenchmarkParams
    promotion: PromotionParams | None = None
    tracking: TrackingParams
    profile: str = ""

    @property
    def keeps_registry(self) -> bool:
        """Whether adapters are registered: only where a policy says when a challenger becomes the champion."""
        return self.promotion is not None


class _File(Section):
    default_profile: str
    profiles: dict[str, dict[str, Any]]


def load_params(path: Path = Path("params.yaml"), profile: str | None = None, method: str | None = None) -> Params:
    """Read one profile.

    Args:
        path: the parameter file.
        profile: its name; None takes the file's default.
        method: one of the profile's methods; None takes the profile's default.

    Raises:
        InputError: no such file, profile or method, an unknown key, a value that does not fit, or a password.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; run from the repository's folder")
    file = validated(_File, read_yaml(path, "correct it"), str(path))
    name = profile or file.default_profile
    if name not in file.profiles:
        raise unknown_name("profile", name, file.profiles)
    profiles = {
        one: validated(Params, {**content, "profile": one}, f"{path}: profiles.{one}")
        for one, content in file.profiles.items()
    }
    params = profiles[name].model_copy(update={"method": method or profiles[name].method})
    if masked(params.tracking.uri) != params.tracking.uri:  # runs and reports keep these parameters
        raise InputError(
            f"{path}: profiles.{name}: tracking.uri holds a password; write it without, and set the address with "
            "the password as MLFLOW_TRACKING_URI in the environment"
        )
    if params.method not in params.methods:
        raise unknown_name("method", params.method, params.methods)
    return params
