"""The keys of adapters and cells: hashes of everything that decides a result. Making them loads no model."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from dreamvideo.base_models.loading import base_model_key, local_folder
from dreamvideo.dataset.catalog import Catalog, Motion, Subject
from dreamvideo.dataset.prompts import check_prompt
from dreamvideo.files import content_key, weights_key
from dreamvideo.methods.contract import Method
from dreamvideo.params import Params
from dreamvideo.roles import Role
from dreamvideo.weights import check_weights
from flows.tracking.schema import FIRST_METRICS

SCORING_REVISION = 2  # raise it when the features that metrics read change; a metric has a revision of its own


@dataclass(frozen=True, slots=True)
class AdapterPlan:
    """One adapter to be trained: of a subject or of a motion."""

    role: Role
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """One video to be generated."""

    subject: str
    motion: str
    prompt: str
    seed: int
    subject_key: str
    motion_key: str
    generation_key: str  # decides the video

    @property
    def adapters(self) -> tuple[AdapterPlan, AdapterPlan]:
        """The plans of the subject's adapter and of the motion's."""
        return (
            AdapterPlan(Role.SUBJECT, self.subject, self.subject_key),
            AdapterPlan(Role.MOTION, self.motion, self.motion_key),
        )


@dataclass(frozen=True, slots=True)
class CellPlan(VideoPlan):
    """One video to be generated and scored."""

    key: str  # decides the video and its scores


class Keys:
    """Computes the keys of one profile and one catalog. The content of a subject or a motion is hashed once."""

    def __init__(self, params: Params, method: Method, catalog: Catalog) -> None:
        self.params, self.method, self.catalog = params, method, catalog
        self._once: dict[tuple[str, str], str] = {}

    @cached_property
    def base_model(self) -> str:
        """The key of the base model: a hash of its files."""
        check_weights(local_folder(self.params.base_model.weights))
        return base_model_key(self.params.base_model)

    @cached_property
    def _base(self) -> dict:
        """What decides every adapter and every video."""
        return {
            "weights": self.base_model,
            "base_model": self.params.base_model.name,
            "offset_noise": self.params.base_model.offset_noise,
            "precision": self.params.compute.precision,
            "method": self.method.name,
            "revision": self.method.revision,
        }

    @cached_property
    def _scoring(self) -> str:
        """The key of the metric encoders. Generating a video alone does not need it."""
        evaluation = self.params.evaluation
        # All subjects count, since the subject oracle chooses among them.
        truths = sorted(content_key(subject.truth) for subject in self.catalog.subjects.values() if subject.truth)
        check_weights(evaluation.weights)
        return content_key(
            {
                "encoders": evaluation.encoders,
                "weights": weights_key(evaluation.weights),
                "metrics": FIRST_METRICS,  # fixed, so that a new metric changes no key of a finished cell
                "subjects": truths,
                "revision": SCORING_REVISION,
            }
        )

    @cached_property
    def composition(self) -> str:
        """The key of everything that decides a video, without its adapters, its prompt and its seed."""
        composing = {"composition": self.method.composition_recipe(), "sampling": self.params.sampling.recipe()}
        data = {"num_frames": self.params.data.num_frames, "fps": self.params.data.fps}
        return content_key({**self._base, **composing, **data})

    def adapter(self, entry: Subject | Motion) -> AdapterPlan:
        """The plan for the adapter of a subject or a motion."""
        key = self._key_of(entry.role, entry.name, lambda: self._adapter_content(entry))
        return AdapterPlan(entry.role, entry.name, key)

    def _adapter_content(self, entry: Subject | Motion) -> dict:
        """Everything that decides an adapter. A subject is learnt from single images, whatever the length of a clip."""
        data = self.params.data
        clips = {"num_frames": data.num_frames, "fps": data.fps} if entry.role is Role.MOTION else {}
        recipe = self.method.recipe(entry.role)
        return {**self._base, **clips, "recipe": recipe, entry.role.noun: entry.content_key}

    def cell(self, subject: Subject, motion: Motion, prompt: str, seed: int) -> CellPlan:
        """The plan for one combination.

        Args:
            subject: from the catalog.
            motion: from the catalog.
            prompt: with the placeholder ``*``, and nothing left to fill in.
            seed: the user's seed.
        """
        adapters = self.adapter(subject).key, self.adapter(motion).key
        generation_key = self._generation(*adapters, prompt, seed)
        key = content_key([generation_key, *self._scored_by(subject, motion)])
        return CellPlan(subject.name, motion.name, prompt, seed, *adapters, generation_key, key)

    def video(self, subject: str, motion: str, prompt: str, seed: int, subject_key: str, motion_key: str) -> VideoPlan:
        """The plan for one video from two adapters, given their keys; arguments as of :meth:`cell`."""
        generation_key = self._generation(subject_key, motion_key, prompt, seed)
        return VideoPlan(subject, motion, prompt, seed, subject_key, motion_key, generation_key)

    def scoring(self, subject: Subject, motion: Motion) -> str:
        """The key of everything that decides the scores of a combination, without its video."""
        # A cell's key holds the reference images through the key of its adapter. This key compares cells of two adapters.
        images = list(subject.sha256.values())[: len(subject.images)]
        return content_key([*self._scored_by(subject, motion), images])

    def _scored_by(self, subject: Subject, motion: Motion) -> list[str]:
        of_subject = self._key_of("truth", subject.name, lambda: [subject.truth, subject.class_word])
        of_motion = self._key_of("path", motion.name, lambda: motion.truth)
        return [self._scoring, of_subject, of_motion]

    def _generation(self, subject_key: str, motion_key: str, prompt: str, seed: int) -> str:
        check_prompt(prompt)
        return content_key([self.composition, subject_key, motion_key, prompt, seed])

    def _key_of(self, what: str, name: str, content: Callable[[], object]) -> str:
        if (what, name) not in self._once:
            self._once[what, name] = content_key(content())
        return self._once[what, name]
