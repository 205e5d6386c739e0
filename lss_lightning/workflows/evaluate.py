"""Test a checkpoint on its own data or on other data, write the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lss_lightning.config import EvaluateConfig, data_source, split_protocol
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.source import DataSource
from lss_lightning.data.splits.resubstitution import Resubstitution
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.models.checkpoint import Card, load_segmenter
from lss_lightning.workflows.fitting import memory_explained
from lss_lightning.workflows.hardware import compile_network, make_trainer
from lss_lightning.workflows.identity import refuse_used
from lss_lightning.workflows.subject import Subject, crossing_remarks
from lss_lightning.workflows.testing import show_files, test_and_report


def run(config: EvaluateConfig, folder: Path) -> None:
    """Test as configured, and report.

    Args:
        config: The checked configuration.
        folder: Where the report goes, existing.

    Raises:
        UserError: the checkpoint cannot be used, the data does not fit it, or nothing is left to test.
    """
    checkpoint = Path(config.ckpt_path).expanduser()
    segmenter, card = load_segmenter(checkpoint)
    own = config.data["name"] == "checkpoint"
    source = _source(config, card, own=own)
    split = split_protocol(card.config["split"])
    subset = config.subset or ("test" if own else "all")

    # Data that is tested whole need not be large enough to be divided.
    division = Resubstitution() if subset == "all" else split
    data = SliceDataModule(source, division, cache=config.paths.cache)
    data.spacing = card.spacing
    data.prepare_data()
    data.setup()
    crossing = crossing_remarks(split, data.slices, data.parts) if own and subset == "test" else []
    # What the user asks for by name is tested although it was seen; the page says so.
    asked = own and (subset != "test" or split.selecting_part == "test")
    indices = data.parts["test" if subset == "all" else subset]
    seen = {index for index in indices if data.slices[index].digest in set(card.seen)}
    excluded = set() if asked or split.resubstitutes else seen
    data.parts["test"] = [index for index in indices if index not in excluded]
    if not data.parts["test"]:
        why = f"the checkpoint was trained or selected on all {len(seen)} slices of it" if seen else "it is empty"
        raise UserError(f"subset={subset} of {source.name}: nothing to test, {why}; give other data or another subset")

    remarks = [split.stamp, *crossing] if own or seen - excluded else []
    if excluded:
        remarks.append(f"{len(excluded)} slices left out: the checkpoint was trained or selected on them.")
    if seen - excluded:
        remarks.append(f"The checkpoint was trained or selected on {len(seen)} of these slices.")
    if not own and (alike := _labelled_alike(data, card)):
        remarks.append(
            f"{alike} of these slices bear exactly the label of one that trained or selected the checkpoint: other "
            "images of the same slices would have gone unnoticed."
        )
    subject = Subject(
        name=card.config["name"],
        checkpoint=checkpoint,
        dataset=source.name,
        subset=subset,
        protocol=split.protocol if own else "external",
        division=split.in_words if own else "not the data of the checkpoint's run",
        disclaimer=source.disclaimer,
        remarks=tuple(remark for remark in remarks if remark),
        excluded_seen=len(excluded),
    )
    if config.trainer.compile:
        compile_network(segmenter.network)
    trainer = make_trainer(config.trainer, default_root_dir=folder, logger=False, enable_model_summary=False)
    if trainer.is_global_zero:
        refuse_used(folder)
    with memory_explained(source.batch_size):
        test_and_report(trainer, segmenter, data, subject, folder, {})
    if trainer.is_global_zero:
        show_files(folder)


def _labelled_alike(data: SliceDataModule, card: Card) -> int:
    """How many slices to test bear a label that the checkpoint saw; labels of a single class tell nothing."""
    seen = set(card.seen_labels)
    return sum(piece.label_digest in seen and piece.label.min() < piece.label.max() for piece in data.part("test"))


def _source(config: EvaluateConfig, card: Card, *, own: bool) -> DataSource:
    """The data to test: the checkpoint's own with the user's changes, or other data read as the checkpoint's was.

    Raises:
        UserError: the user's settings contradict the checkpoint, or the classes differ.
    """
    trained = card.config["data"]
    fixed: dict[str, Any] = {"channels": _channels(card), "third": trained["third"], "spacing": card.spacing}
    if own:
        given = {key: value for key, value in config.data.items() if value is not None and key != "name"}
        section = {**trained, **given, **fixed}
    else:
        given = {key: value for key, value in config.data.items() if f"data.{key}" in config.given}
        section = {**config.data, **fixed}
    for key, value in fixed.items():
        if key in given and given[key] != value:
            raise UserError(f"data.{key}={given[key]}: the checkpoint was trained with {value}; leave data.{key} out")
    source = data_source(section)
    if difference := _difference(source.labels, card.label_set):
        raise UserError(f"data={source.name}: its classes are not the checkpoint's: {difference}; make them the same")
    return source


def _channels(card: Card) -> str:
    """The ``data.channels`` that give the images which the checkpoint was trained with."""
    trained: str = card.config["data"]["channels"]
    if trained != "image":
        return trained
    return "rgb" if card.network.in_channels == 3 else "grey"


def _difference(given: LabelSet, trained: LabelSet) -> str:
    """What is wrong with classes that a checkpoint does not have; empty where but codes and colours differ."""
    differences = [
        f"{what} {', '.join(keys)}"
        for what, keys in (
            ("without", [key for key in trained.keys if key not in given.keys]),
            ("with", [key for key in given.keys if key not in trained.keys]),
        )
        if keys
    ]
    if not differences and given.keys != trained.keys:
        return f"in the order {', '.join(given.keys)}, but the checkpoint's is {', '.join(trained.keys)}"
    if not differences and given.anatomical != trained.anatomical:
        anatomy = ", ".join(trained.keys[index] for index in trained.anatomical)
        return f"data.background must leave as anatomy {anatomy}"
    return " and ".join(differences)
