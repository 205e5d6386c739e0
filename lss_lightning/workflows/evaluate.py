"""The ``evaluate.py`` command: test a checkpoint, an ensemble or the folds of a cross-validation, and report on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits.fractions import Resubstitution
from lss_lightning.data.splits.kfold import KFoldSplit
from lss_lightning.display import format_setting
from lss_lightning.models.ensemble import load_ensemble
from lss_lightning.reporting.loggers import make_loggers
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.evaluation.calibration import load_calibration
from lss_lightning.workflows.evaluation.context import EnsembleMember, EvaluationContext
from lss_lightning.workflows.evaluation.facts import collect_model_facts
from lss_lightning.workflows.evaluation.folds import Fold, check_folds, find_held_out
from lss_lightning.workflows.evaluation.held_out_errors import write_held_out_errors
from lss_lightning.workflows.evaluation.report import print_files, write_report
from lss_lightning.workflows.evaluation.selection import make_source, select_slices
from lss_lightning.workflows.evaluation.tester import combine_parts, make_tester, run_test
from lss_lightning.workflows.recording import describe_evaluation, record_result, record_run
from lss_lightning.workflows.training.memory import explain_out_of_memory


def run(config: EvaluateConfig, folder: Path) -> None:
    """Test the configured checkpoints and write the report.

    Args:
        config: The checked configuration.
        folder: The run directory, which must exist.

    Raises:
        UserError: If a checkpoint cannot be used, the data does not fit it, or no slice is left to test.
    """
    if config.folds is None:
        evaluate_ensemble(config, RunFolder(folder))
    else:
        cross_validate(config, RunFolder(folder))


def evaluate_ensemble(config: EvaluateConfig, run_folder: RunFolder) -> None:
    """Test a checkpoint, or several checkpoints as one ensemble, and write the report.

    Args:
        config: The checked configuration, with ``ckpt_path``.
        run_folder: The run directory, which must exist.

    Raises:
        UserError: If a checkpoint cannot be used, the data does not fit it, or no slice is left to test.
    """
    loggers = make_loggers(config.logger, run_folder.path)
    files = config.find_checkpoints()
    ensemble, all_metadata = load_ensemble(files, config.tta)
    source = make_source(config, all_metadata[0])
    calibration = load_calibration(config.calibration, files, all_metadata, config.tta)
    selection = select_slices(config, source, all_metadata)
    if calibration:
        calibration.check_disjoint([loaded.digest for loaded in selection.data.part("test")])
    context = EvaluationContext(
        members=tuple(
            EnsembleMember(metadata.config["name"], file) for metadata, file in zip(all_metadata, files, strict=True)
        ),
        dataset=source.name,
        subset=selection.subset,
        protocol=selection.protocol,
        split_description=selection.split_description,
        disclaimer=source.disclaimer,
        tta=config.tta,
        remarks=(*selection.remarks, *((calibration.remark,) if calibration else ())),
        excluded_seen=selection.excluded_seen,
        facts=collect_model_facts(all_metadata, ensemble.members),
    )
    trainer = make_tester(config, run_folder, [ensemble], loggers, calibration.errors if calibration else None)
    description = describe_evaluation(context, all_metadata, run_folder)
    with record_run(trainer, loggers, description), explain_out_of_memory(source.batch_size):
        part = run_test(trainer, ensemble, selection.data, context)
        result = combine_parts(trainer, [part], source, context, run_folder)
        if trainer.is_global_zero:
            write_report(result)
            if config.own_data and selection.subset == "test" and len(files) == 1 and config.tta == "none":
                write_held_out_errors(part, files[0], all_metadata[0], source.name)
        record_result(trainer, result, with_images=config.examples.count > 0)
    if trainer.is_global_zero:
        print_files(run_folder)


def cross_validate(config: EvaluateConfig, run_folder: RunFolder) -> None:
    """Test every slice with the network of the fold that held it out, and write one report on all folds.

    Args:
        config: The checked configuration, with ``folds``.
        run_folder: The run directory, which must exist.

    Raises:
        UserError: If the runs are not the folds of one cross-validation, or the data differs from that of the folds.
    """
    loggers = make_loggers(config.logger, run_folder.path)
    folds = check_folds([Fold.load(file) for file in config.find_checkpoints()])
    all_metadata = [fold.metadata for fold in folds]
    ensembles = [load_ensemble([fold.checkpoint], config.tta)[0] for fold in folds]
    source = make_source(config, all_metadata[0])
    data = SliceDataModule(source, Resubstitution(), cache=config.paths.cache)
    data.prepare_data()
    data.setup()
    held_out = find_held_out(folds, data.slices)
    shared = len(data.slices) - sum(map(len, held_out))
    remark = f"{shared} slices excluded: the same image is in several folds, so no fold held it out."
    context = EvaluationContext(
        members=tuple(EnsembleMember(fold.metadata.config["name"], fold.checkpoint) for fold in folds),
        dataset=source.name,
        subset="folds",
        protocol=KFoldSplit.protocol,
        split_description=f"{len(folds)}-fold cross-validation",
        disclaimer=source.disclaimer,
        tta=config.tta,
        remarks=(remark,) if shared else (),
        excluded_seen=shared,
        facts=collect_model_facts(all_metadata, [ensemble.members[0] for ensemble in ensembles]),
    )
    trainer = make_tester(config, run_folder, ensembles, loggers)
    description = describe_evaluation(context, all_metadata, run_folder)
    with record_run(trainer, loggers, description), explain_out_of_memory(source.batch_size):
        parts = []
        for fold, ensemble, indices, member in zip(folds, ensembles, held_out, context.members, strict=True):
            data.spacing, data.parts["test"] = fold.metadata.spacing, indices
            parts.append(run_test(trainer, ensemble, data, replace(context, members=(member,)), fold.number))
        result = combine_parts(trainer, parts, source, context, run_folder)
        if trainer.is_global_zero:
            write_report(result)
        record_result(trainer, result, with_images=config.examples.count > 0)
    if trainer.is_global_zero:
        print_files(run_folder)
        assert config.folds is not None
        folders = config.folds[0] if len(config.folds) == 1 else format_setting(config.folds)
        console = Console()
        console.print(
            f"Test all folds as one ensemble: ckpt_path={folders}", highlight=False, markup=False, soft_wrap=True
        )
