"""DreamVideo (Wei et al. 2023): a textual identity and an identity adapter for a subject, a motion adapter with
appearance guidance for a motion, both on the frozen base model.

Shapes: B batch, n images, F frames, S pixels a side, H W latent size.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dreamvideo.adapters import Adapter, Placement
from dreamvideo.augmentation import random_shift
from dreamvideo.base_models.contract import Architecture, VideoDiffusionModel
from dreamvideo.dataset.clips import sample_window
from dreamvideo.methods.contract import Encode, Method, MotionData, OnStage, SubjectData, Trained, methods
from dreamvideo.params import StageParams
from dreamvideo.roles import Role
from dreamvideo.textual_inversion import CAPTION, TextualIdentity
from dreamvideo.train import denoising_loss, optimise, training
from dreamvideo.user_input import Section

_SUBJECT, _IDENTITY = "textual_inversion.", "identity_adapter."


class MotionStage(StageParams):
    """The motion adapter's training."""

    caption_dropout: float = Field(ge=0, le=1)
    appearance_dropout: float = Field(ge=0, le=1)
    timestep_exponent: float = Field(default=1.0, gt=0, le=1)  # 1: all alike (paper); below, noisier ones more often


class DreamVideoOptions(Section):
    """The options of DreamVideo."""

    bottleneck: float = Field(gt=0, le=1)
    placement: Placement
    random_shift: float = Field(default=0.0, ge=0, le=1)  # of reference images, as a share of their side; paper: none
    textual_inversion: StageParams
    identity_adapter: StageParams
    motion_adapter: MotionStage
    appearance_strength: float
    unconditional_appearance_strength: float
    # Of the adapters in a composition. 0 leaves an adapter out; that of the identity takes the learnt word with it.
    identity_strength: float = 1.0
    motion_strength: float = 1.0


class Identity(nn.Module):
    """All that the method learns of a subject."""

    def __init__(self, textual_inversion: TextualIdentity, identity_adapter: Adapter) -> None:
        super().__init__()
        self.textual_inversion, self.identity_adapter = textual_inversion, identity_adapter


@methods.register("dreamvideo")
class DreamVideo(Method):
    """Sec. 3.2 of the paper."""

    name = "dreamvideo"
    revision = 4
    Options = DreamVideoOptions
    options: DreamVideoOptions

    def subject_recipe(self) -> dict:
        """Bottleneck, placement, random shift and the two stages of subject learning."""
        learning = {"random_shift", "textual_inversion", "identity_adapter"}
        return self.options.model_dump(include={"bottleneck", "placement"} | learning)

    def motion_recipe(self) -> dict:
        """Bottleneck, placement and the stage of motion learning."""
        return self.options.model_dump(include={"bottleneck", "placement", "motion_adapter"})

    def composition_recipe(self) -> dict:
        """The strength of the adapters, and of the appearance guidance."""
        strengths = {"appearance_strength", "unconditional_appearance_strength", "identity_strength", "motion_strength"}
        recipe = self.options.model_dump(include=strengths)
        # An earlier revision kept the learnt word at strength 0. Its videos differ, so their keys must differ.
        return recipe if self.options.identity_strength else recipe | {"textual_identity": "off"}

    def trainable_parameters(self, base: Architecture) -> dict[str, int]:
        """One embedding, the identity adapter, the motion adapter."""
        with torch.device("meta"):
            identity, motion = self.identity_adapter(base), self.motion_adapter(base)
        return {
            "textual_inversion": base.text_width,
            "identity_adapter": sum(p.numel() for p in identity.parameters()),
            "motion_adapter": sum(p.numel() for p in motion.parameters()),
        }

    def identity_adapter(self, base: Architecture | VideoDiffusionModel) -> Adapter:
        """The untrained adapter of a subject."""
        return Adapter(base.adapter_sites(Role.SUBJECT), self.options.bottleneck, self.options.placement)

    def motion_adapter(self, base: Architecture | VideoDiffusionModel) -> Adapter:
        """The untrained adapter of a motion."""
        sites, options = base.adapter_sites(Role.MOTION), self.options
        return Adapter(sites, options.bottleneck, options.placement, base.appearance_width)

    def subject_module(self, base: Architecture) -> nn.Module:
        """The textual identity and the identity adapter."""
        return Identity(TextualIdentity(torch.empty(base.text_width)), self.identity_adapter(base))

    def motion_module(self, base: Architecture) -> nn.Module:
        """The motion adapter."""
        return self.motion_adapter(base)

    @staticmethod
    def subject_tensors(identity: dict[str, Tensor], adapter: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a subject: its textual identity and its identity adapter, each under its own prefix."""
        tensors = {_SUBJECT + name: value for name, value in identity.items()}
        return tensors | {_IDENTITY + name: value for name, value in adapter.items()}

    def train_subject(
        self, base: VideoDiffusionModel, data: SubjectData, generator: torch.Generator, on_stage: OnStage
    ) -> Trained:
        """Train the textual identity, then the identity adapter beside the frozen textual identity.

        The loss counts single images under their masks. Random shifts hide where the subject stands in an image, because the
        motion decides the place in a composition.
        """
        latents = base.once("latents", data.images[:, None], base.encode_frames)
        masks = data.masks if data.masks is not None else torch.ones(len(latents), 1, 1, 1)
        # (n, 1, 1, H, W): binary at latent resolution.
        weights = functional.interpolate(masks, latents.shape[-2:], mode="nearest-exact")[:, :, None]
        weights = weights.to(base.device)
        reach = round(self.options.random_shift * latents.shape[-1])
        identity = TextualIdentity.from_class_word(base, data.class_word)

        def loss_with(text: Tensor, batch: int) -> Tensor:
            chosen = torch.randint(len(latents), (batch,), generator=generator)
            seen, weight = random_shift(latents[chosen], weights[chosen], reach, generator)
            return denoising_loss(base, seen, text.expand(batch, -1, -1), generator, weight)

        first, second = self.options.textual_inversion, self.options.identity_adapter
        with training(base, generator):
            inversion = optimise(
                identity.parameters(),
                lambda: loss_with(identity.encode(base, [CAPTION]), first.batch_size),
                first.steps,
                first.learning_rate,
                lambda step, loss: on_stage("textual inversion", step, first.steps, loss),
            )
            text = identity.encode(base, [CAPTION]).detach()
            adapter = self.identity_adapter(base).to(base.device)
            with adapter.inject(base):
                adaptation = optimise(
                    adapter.parameters(),
                    lambda: loss_with(text, second.batch_size),
                    second.steps,
                    second.learning_rate,
                    lambda step, loss: on_stage("identity adapter", step, second.steps, loss),
                )
        losses = {"textual_inversion": inversion, "identity_adapter": adaptation}
        return Trained(self.subject_tensors(identity.state_dict(), adapter.state_dict()), losses)

    def train_motion(
        self, base: VideoDiffusionModel, data: MotionData, generator: torch.Generator, on_stage: OnStage
    ) -> Trained:
        """Train the motion adapter. The appearance of a random frame guides it, so that it learns the motion alone."""
        stage = self.options.motion_adapter
        captions = base.encode_text(data.captions)
        empty = base.encode_text([""])[0]
        batch = stage.batch_size if len(data.clips) > 1 else 1

        def latents_of(frames: Tensor) -> Tensor:
            return base.once("latents", frames[None], base.encode_frames)[0].transpose(0, 1)

        # If no frame changes the latents of another, a clip is encoded once, and the windows are cut out of its latents.
        clips = [latents_of(clip) if base.frame_by_frame else clip for clip in data.clips]

        @cache
        def appearance_of(clip: int) -> Tensor:
            return base.once("appearance", data.clips[clip], base.encode_appearance)

        def draw(clip: int) -> tuple[Tensor, Tensor, Tensor]:
            window = sample_window(clips[clip], data.fps[clip], data.num_frames, data.target_fps, generator)
            window = window if base.frame_by_frame else latents_of(window)
            seen = appearance_of(clip)
            appearance = seen[_below(len(seen), generator)]
            dropped_caption, dropped_appearance = torch.rand(2, generator=generator).tolist()
            text = empty if dropped_caption < stage.caption_dropout else captions[clip]
            if dropped_appearance < stage.appearance_dropout:
                appearance = torch.zeros_like(appearance)
            return window, text, appearance

        def loss_of_step() -> Tensor:
            chosen = torch.randperm(len(data.clips), generator=generator)[:batch].tolist()
            windows, texts, appearances = zip(*(draw(clip) for clip in chosen), strict=True)
            adapter.guide(torch.stack(appearances))
            latents = torch.stack(windows).transpose(1, 2)
            return denoising_loss(base, latents, torch.stack(texts), generator, exponent=stage.timestep_exponent)

        with training(base, generator):
            adapter = self.motion_adapter(base).to(base.device)
            with adapter.inject(base):
                losses = optimise(
                    adapter.parameters(),
                    loss_of_step,
                    stage.steps,
                    stage.learning_rate,
                    lambda step, loss: on_stage("motion adapter", step, stage.steps, loss),
                )
        return Trained(adapter.state_dict(), {"motion_adapter": losses})

    @contextmanager
    def composed(
        self,
        base: VideoDiffusionModel,
        subject: dict[str, Tensor] | None,
        motion: dict[str, Tensor] | None,
        reference: Tensor | None,
    ) -> Iterator[Encode]:
        """Inject both adapters. A zero appearance guides the unconditional branch.

        Strength 0 leaves out all that was learnt of the subject or of the motion. Without a subject, ``*`` is a plain sign.
        """
        options = self.options
        encode: Encode = base.encode_text
        with ExitStack() as stack:
            if subject is not None and options.identity_strength:
                identity = TextualIdentity(subject[_SUBJECT + "embedding"]).to(base.device)
                encode = lambda prompts: identity.encode(base, prompts)  # noqa: E731
                with torch.device("meta"):  # the trained weights replace these
                    adapter = self.identity_adapter(base)
                adapter.load_state_dict(_with_prefix(subject, _IDENTITY), assign=True)
                adapter.to(base.device).scaled(options.identity_strength)
                stack.enter_context(adapter.inject(base))
            if motion is not None and options.motion_strength:
                with torch.device("meta"):
                    adapter = self.motion_adapter(base)
                adapter.load_state_dict(motion, assign=True)
                adapter.to(base.device).scaled(options.motion_strength).guide(*self._guidance(base, reference))
                stack.enter_context(adapter.inject(base))
            yield encode

    def _guidance(self, base: VideoDiffusionModel, reference: Tensor | None) -> tuple[Tensor, Tensor]:
        """Appearance (2, C') and strength (2,) for the unconditional and the conditional branch of guidance."""
        zeros = torch.zeros(1, base.appearance_width, device=base.device)
        appearance = zeros if reference is None else base.once("appearance", reference[None], base.encode_appearance)
        strengths = self.options.unconditional_appearance_strength, self.options.appearance_strength
        return torch.cat((zeros, appearance)), torch.tensor(strengths, device=base.device)


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (1,), generator=generator))


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
