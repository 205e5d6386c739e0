from __future__ import annotations

import zipfile

import pytest
import torch

from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.models.checkpoint import CheckpointMetadata, NetworkSpec, load_module, read_checkpoint
from lss_lightning.models.segmentation import METADATA_KEY


class Payload:
    """Pickled, it would run code when loaded."""

    def __reduce__(self):
        return print, ("code ran",)


@pytest.fixture(scope="module")
def metadata() -> CheckpointMetadata:
    spec = NetworkSpec("resunet", "resnet10t", 3, len(LUMBAR), "transpose", [32, 16, 16, 8, 8])
    return CheckpointMetadata(
        spec, LUMBAR.to_plain(), [0.1, 0.2, 0.3], [1.0, 1.1, 1.2], 0.6875, {"name": "test"}, ["00ff"], ["ff00"]
    )


@pytest.fixture(scope="module")
def content(metadata) -> dict:
    torch.manual_seed(0)
    module = metadata.module(metadata.network.build())
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


def damaged(path, content):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_inside(path, content):
    """Still a zip file by its end, but with a weight cut out."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        kept = {name: archive.read(name) for name in names if not name.endswith("data/7")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


def foreign(path, content):
    torch.save({"state_dict": {}, "epoch": 1}, path)


def not_a_dict(path, content):
    torch.save([1, 2, 3], path)


def pickled_code(path, content):
    torch.save({**content, "extra": Payload()}, path)


def text(path, content):
    path.write_text("not a checkpoint")


def missing(path, content):
    path.unlink()


def without_an_entry(path, content):
    metadata = {key: value for key, value in content[METADATA_KEY].items() if key != "seen_labels"}
    torch.save({**content, METADATA_KEY: metadata}, path)


def other_schema(path, content):
    torch.save({**content, METADATA_KEY: {**content[METADATA_KEY], "schema": 99}}, path)


def lacking_weight(path, content):
    state = dict(content["state_dict"])
    del state["network.head.weight"]
    torch.save({**content, "state_dict": state}, path)


def wrong_shape(path, content):
    state = {**content["state_dict"], "network.head.weight": torch.zeros(2, 2)}
    torch.save({**content, "state_dict": state}, path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (missing, "no such file"),
        (damaged, "truncated"),
        (cut_inside, "damaged"),
        (text, "no checkpoint"),
        (foreign, "not a checkpoint of lss_lightning"),
        (not_a_dict, "not a checkpoint of lss_lightning"),
        (pickled_code, "could run code"),
        (other_schema, "version 99"),
        (without_an_entry, "its record lacks seen_labels"),
        (lacking_weight, "network.head.weight"),
        (wrong_shape, "network.head.weight"),
    ],
)
def test_bad_files_are_refused_in_a_line(spoil, says, path, content, capsys):
    spoil(path, content)
    with pytest.raises(UserError, match=says) as refusal:
        load_module(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "code ran" not in capsys.readouterr().out


def test_code_does_not_run_even_in_reading(path, content, capsys):
    pickled_code(path, content)
    with pytest.raises(UserError):
        read_checkpoint(path)
    assert capsys.readouterr().out == ""
