from __future__ import annotations

import zipfile

import pytest
import torch

from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from lss_lightning.models.segmentation import METADATA_KEY, SegmentationModule, load_module
from lss_lightning.models.specs import UNetSpec


class Payload:
    """An object that runs code when it is unpickled."""

    def __reduce__(self):
        return print, ("code ran",)


@pytest.fixture(scope="module")
def metadata() -> CheckpointMetadata:
    spec = UNetSpec("resunet", "resnet10t", 3, len(LUMBAR), "transpose", [32, 16, 16, 8, 8])
    return CheckpointMetadata(
        spec, LUMBAR.to_plain(), [0.1, 0.2, 0.3], [1.0, 1.1, 1.2], 0.6875, {"name": "test"}, ["00ff"], ["ff00"]
    )


@pytest.fixture(scope="module")
def content(metadata) -> dict:
    torch.manual_seed(0)
    module = SegmentationModule.from_metadata(metadata, metadata.network.build())
    content = {"state_dict": module.state_dict(), "epoch": 3}
    module.on_save_checkpoint(content)
    return content


@pytest.fixture
def path(content, tmp_path):
    torch.save(content, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def test_network_is_rebuilt_from_the_file_alone(path, metadata, content):
    module, read = load_module(path)
    assert read == metadata
    assert read.label_set == LUMBAR
    state = module.state_dict()
    assert state.keys() == content["state_dict"].keys()
    for name, weights in content["state_dict"].items():
        assert torch.equal(state[name], weights), name
    torch.testing.assert_close(module.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))


def test_weights_of_the_loss_are_not_needed(content, tmp_path):
    weighted = {**content, "state_dict": {**content["state_dict"], "loss.loss.weight": torch.ones(6)}}
    torch.save(weighted, tmp_path / "weighted.ckpt")
    load_module(tmp_path / "weighted.ckpt")


def truncate(path, content):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def remove_weight_file(path, content):
    """Remove a weight from the zip file."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        kept = {name: archive.read(name) for name in names if not name.endswith("data/7")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


def write_foreign(path, content):
    torch.save({"state_dict": {}, "epoch": 1}, path)


def write_list(path, content):
    torch.save([1, 2, 3], path)


def write_code(path, content):
    torch.save({**content, "extra": Payload()}, path)


def write_text(path, content):
    path.write_text("not a checkpoint")


def delete(path, content):
    path.unlink()


def remove_entry(path, content):
    metadata = {key: value for key, value in content[METADATA_KEY].items() if key != "seen_labels"}
    torch.save({**content, METADATA_KEY: metadata}, path)


def write_other_schema(path, content):
    torch.save({**content, METADATA_KEY: {**content[METADATA_KEY], "schema": 2}}, path)


def remove_weight(path, content):
    state = dict(content["state_dict"])
    del state["network.head.weight"]
    torch.save({**content, "state_dict": state}, path)


def change_shape(path, content):
    state = {**content["state_dict"], "network.head.weight": torch.zeros(2, 2)}
    torch.save({**content, "state_dict": state}, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (delete, "no such file"),
        (truncate, "truncated"),
        (remove_weight_file, "damaged"),
        (write_text, "not a checkpoint"),
        (write_foreign, "not a checkpoint of lss_lightning"),
        (write_list, "not a checkpoint of lss_lightning"),
        (write_code, "could run code"),
        (write_other_schema, r"written by another version \(schema 2, this version reads 4\); train again, or use"),
        (remove_entry, "its metadata lack seen_labels"),
        (remove_weight, "network.head.weight"),
        (change_shape, "network.head.weight"),
    ],
)
def test_bad_files_are_refused_in_one_line(damage, message, path, content, capsys):
    damage(path, content)
    with pytest.raises(UserError, match=message) as refusal:
        load_module(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "code ran" not in capsys.readouterr().out


def test_reading_does_not_run_code(path, content, capsys):
    write_code(path, content)
    with pytest.raises(UserError):
        read_checkpoint(path)
    assert capsys.readouterr().out == ""


def test_load_from_checkpoint_returns_the_trained_module(path, content):
    module = SegmentationModule.load_from_checkpoint(str(path))
    assert module.training
    assert module.loss is None
    assert all(torch.equal(module.state_dict()[name], weights) for name, weights in content["state_dict"].items())
    image = torch.randint(0, 256, (1, 3, 40, 50), dtype=torch.uint8)
    again = SegmentationModule.load_from_checkpoint(path, map_location=torch.device("cpu")).eval()
    assert torch.equal(module.eval()(image), again(image))
    saved: dict = {}
    again.on_save_checkpoint(saved)
    assert saved[METADATA_KEY] == content[METADATA_KEY]


def test_load_from_checkpoint_reads_the_tensors_with_map_location(path):
    locations = set()

    def locate(storage, location):
        locations.add(location)
        return storage

    SegmentationModule.load_from_checkpoint(path, locate)
    assert locations == {"cpu"}


def test_load_from_checkpoint_takes_what_training_needs(path):
    loss = torch.nn.CrossEntropyLoss()
    assert SegmentationModule.load_from_checkpoint(path, loss=loss).loss is loss


@pytest.mark.parametrize("unsupported", [{"strict": False}, {"weights_only": False}, {"hparams_file": "hparams.yaml"}])
def test_load_from_checkpoint_refuses_what_it_does_not_support(path, unsupported):
    with pytest.raises(UserError, match="hparams_file, strict=False and weights_only=False are not supported"):
        SegmentationModule.load_from_checkpoint(path, **unsupported)


def test_a_network_that_nobody_trusts_is_not_built(content, path):
    network = {"model": "mine", "target": "torch.nn.Identity", "in_channels": 3, "classes": 6, "divisor": 1}
    network |= {"min_size": 1, "arguments": {}, "weight_arguments": []}
    torch.save({**content, METADATA_KEY: {**content[METADATA_KEY], "network": network}}, path)
    with pytest.raises(UserError, match=r"model._target_=torch.nn.Identity: .* add trust=\[torch.nn.Identity\]$"):
        SegmentationModule.load_from_checkpoint(path)
