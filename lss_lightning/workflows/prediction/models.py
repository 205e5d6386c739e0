"""The checkpoints of a prediction, loaded and ready to segment and measure studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from lss_lightning.config.data import build_data_source
from lss_lightning.config.predict import PredictConfig
from lss_lightning.data.parallel import track_progress
from lss_lightning.data.studies import Study, build_network_image
from lss_lightning.errors import UserError
from lss_lightning.files import sha256
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.models.ensemble import load_ensemble
from lss_lightning.stenosis import DISCLAIMER, ModelIdentity, StudyResult
from lss_lightning.workflows.evaluation.calibration import LoadedCalibration, load_calibration
from lss_lightning.workflows.evaluation.held_out_errors import LoadedErrors, load_held_out_errors
from lss_lightning.workflows.prediction.engine import InferenceEngine, NetworkInput
from lss_lightning.workflows.prediction.findings import SegmentedSlice, measure_study


@dataclass(frozen=True)
class PredictionModels:
    """The checkpoints of a prediction as one ensemble, and their calibration.

    Attributes:
        engine: The ensemble on its device.
        all_metadata: The metadata of each checkpoint.
        identities: The name and hash of each checkpoint.
        errors: The calibration, or else the errors of the checkpoint on its test part. None if neither is available.
    """

    engine: InferenceEngine
    all_metadata: tuple[CheckpointMetadata, ...]
    identities: tuple[ModelIdentity, ...]
    errors: LoadedCalibration | LoadedErrors | None

    @classmethod
    def load(cls, config: PredictConfig) -> Self:
        """Load the checkpoints and the calibration that a configuration names.

        Raises:
            UserError: If the checkpoints or the calibration cannot be used, or the machine does not have the device.
        """
        files = config.find_checkpoints()
        ensemble, all_metadata = load_ensemble(files, config.tta)
        spacing, compiles = all_metadata[0].spacing, config.engine.compile
        engine = InferenceEngine(ensemble, spacing, config.trainer, config.batch_size, compiles=compiles)
        errors = load_calibration(config.calibration, files, all_metadata, config.tta) or load_held_out_errors(
            files, config.tta
        )
        names = [metadata.config["name"] for metadata in all_metadata]
        identities = tuple(ModelIdentity(name, sha256(file)) for name, file in zip(names, files, strict=True))
        return cls(engine, all_metadata, identities, errors)

    @property
    def channels(self) -> str:
        """The input channels of the networks, see :class:`~lss_lightning.data.studies.InputRequirements`."""
        return self.all_metadata[0].channels

    @property
    def disclaimer(self) -> str:
        """The disclaimer of every output, with a sentence for each data source that the checkpoints were trained on."""
        sources = [
            build_data_source(metadata.config["data"], stored_by=metadata.config["name"])
            for metadata in self.all_metadata
        ]
        # DISCLAIMER already contains this sentence.
        remarks = [source.disclaimer.replace("Research use only.", "").strip() for source in sources]
        training = [f"Trained on data={source.name}. {remark}" for source, remark in zip(sources, remarks, strict=True)]
        return " ".join((DISCLAIMER, *dict.fromkeys(sentence.strip() for sentence in training)))

    def predict_study(self, study: Study, name: str, levels: Mapping[str, str]) -> StudyResult:
        """Segment and measure a study.

        Args:
            study: The study.
            name: The anonymous name of the study.
            levels: The levels given by the user, by slice name.

        Raises:
            UserError: If a level is given for a slice that does not exist, or a network returns NaN or infinity.
        """
        names = [slice_.name for slice_ in study.slices]
        if unknown := [slice_name for slice_name in levels if slice_name not in names]:
            raise UserError(f"levels: no {unknown[0]} among {names[0]} to {names[-1]}; correct levels={{…}}")
        metadata, labels = self.all_metadata[0], self.all_metadata[0].label_set
        errors = self.errors.errors if self.errors else None
        inputs = [
            NetworkInput(build_network_image(slice_.images, self.channels, metadata.third_channel), slice_.spacing)
            for slice_ in study.slices
        ]
        probabilities = track_progress(self.engine.segment(inputs), f"{name}: segmenting", len(inputs))
        segmented = [
            SegmentedSlice.from_probabilities(slice_, input_.pixels, members, labels, errors)
            for slice_, input_, members in zip(study.slices, inputs, probabilities, strict=True)
        ]
        slices, labels, remarks = measure_study(segmented, labels, levels)
        problems = (f"{problem[0].upper()}{problem[1:]}." for problem in study.problems)
        error_remarks = (self.errors.remark,) if self.errors else ()
        return StudyResult(
            name=name,
            slices=slices,
            labels=labels,
            models=self.identities,
            remarks=(*problems, *study.remarks, *error_remarks, *remarks),
            disclaimer=self.disclaimer,
        )
