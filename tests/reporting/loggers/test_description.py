from __future__ import annotations

from lss_lightning.reporting.loggers import flatten_settings
from tests.conftest import configure


def test_settings_are_flat_under_the_keys_of_the_command_line():
    settings = flatten_settings(
        configure("model=vgg16_unet", "optimizer=sgd", "split=kfold", "split.fold=2", "optimizer.lr=0.25").plain
    )
    expected = {
        "model": "vgg16_unet",
        "encoder": "vgg16",
        "data": "phantom",
        "data.batch_size": 8,
        "optimizer": "SGD",
        "optimizer.lr": 0.25,
        "split": "KFoldSplit",
        "split.fold": 2,
        "seed": 0,
    }
    assert {key: settings[key] for key in expected} == expected
    assert not any(isinstance(value, dict) for value in settings.values())
    assert not any(key.startswith(("logger", "examples", "paths")) for key in settings)
