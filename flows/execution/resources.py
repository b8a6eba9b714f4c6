"""The models, the data and the store that tasks work with. Each is loaded once a process, when it is first needed."""

from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock

from dreamvideo.base_models import load_base_model
from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.dataset.catalog import CATALOG_NAME, Catalog, Motion, Subject, load_catalog
from dreamvideo.dataset.checksums import verify_entry
from dreamvideo.errors import ConflictError
from dreamvideo.files import sha256_file
from dreamvideo.memory import loading_remedy, memory_explained
from dreamvideo.methods.contract import Method
from dreamvideo.params import Params
from evaluation.suite import Suite
from flows.planning.keys import AdapterPlan, CellPlan, Keys
from flows.planning.plan import build_method
from flows.tracking.provenance import data_hash, git_commit
from flows.tracking.schema import Tag
from flows.tracking.store import Tracking, open_store


class Resources:
    """The models, the data and the tracking of one profile."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.sampling = Lock()  # the base model holds one composition at a time
        self._adapters: dict[str, Path] = {}
        self._verified: set[str] = set()  # content keys of subjects and motions whose files have been checked

    @cached_property
    def catalog(self) -> Catalog:
        """The dataset."""
        return load_catalog(self.params.data.root)

    @cached_property
    def data_hash(self) -> str:
        """What version of the dataset this is."""
        return data_hash(self.catalog)

    @cached_property
    def git_commit(self) -> str:
        """What version of the code this is."""
        return git_commit()

    @cached_property
    def method(self) -> Method:
        """The profile's method."""
        return build_method(self.params)

    @cached_property
    def keys(self) -> Keys:
        """Keys of adapters and cells."""
        return Keys(self.params, self.method, self.catalog)

    @cached_property
    def tracking(self) -> Tracking:
        """MLflow."""
        return open_store(self.params.tracking)

    @cached_property
    def base(self) -> VideoDiffusionModel:
        """The frozen base model."""
        with memory_explained("loading the base model", loading_remedy(self.params.compute)):
            return load_base_model(self.params.base_model, self.params.compute)

    @cached_property
    def suite(self) -> Suite:
        """The metrics with their encoders."""
        from evaluation.encoders import encoders

        wanted, device = self.params.evaluation, self.params.compute.torch_device()
        return Suite(encoders[wanted.encoders](wanted.weights, device), self.catalog.subjects)

    def adapter_file(self, run_id: str) -> Path:
        """The local copy of a run's adapter. It is fetched once; tensors are mapped from it, so reading it again is cheap."""
        if run_id not in self._adapters:
            self._adapters[run_id] = self.tracking.artifacts.reuse(run_id)
        return self._adapters[run_id]

    def verify(self, planned: AdapterPlan | CellPlan) -> None:
        """Check that this process makes the result that the key stands for, before the result is recorded under the key.

        Data and weights may have changed since the plan was made, or may differ on another machine.

        Raises:
            ConflictError: this process would make another result.
            InputError: a file is not what the catalog says.
        """
        catalog, keys = self.catalog, self.keys
        entries: tuple[Subject | Motion, ...]
        here: AdapterPlan | CellPlan
        if isinstance(planned, CellPlan):
            subject, motion = catalog.subject(planned.subject), catalog.motion(planned.motion)
            entries, here = (subject, motion), keys.cell(subject, motion, planned.prompt, planned.seed)
        else:
            entry = catalog.entry(planned.role, planned.name)
            entries, here = (entry,), keys.adapter(entry)
        if here.key != planned.key:
            raise ConflictError(
                "data/ or models/ is not what it was where the benchmark was planned; bring them to one version on every "
                "machine, and run the same command again"
            )
        for entry in entries:
            if entry.content_key not in self._verified:
                verify_entry(catalog, entry)
                self._verified.add(entry.content_key)

    @property
    def provenance(self) -> dict[str, str]:
        """Tags that every run carries."""
        return {
            Tag.PROFILE: self.params.profile,
            Tag.DATA_HASH: self.data_hash,
            Tag.GIT_COMMIT: self.git_commit,
        }


def resources_for(params_json: str) -> Resources:
    """The resources of this process for some parameters, given as JSON since tasks pass only small values."""
    catalog = Params.model_validate_json(params_json).data.root / CATALOG_NAME
    return _resources_for(params_json, sha256_file(catalog) if catalog.exists() else "")


@lru_cache(maxsize=1)
def _resources_for(params_json: str, catalog: str) -> Resources:
    """A changed catalog gives new resources, because the metric suite keeps embeddings of the subjects."""
    return Resources(Params.model_validate_json(params_json))
