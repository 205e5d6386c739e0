from __future__ import annotations

from lss_lightning.config.reproduce import ReproduceConfig, compose_training
from lss_lightning.config.train import TrainConfig, build_train_config
from lss_lightning.phantom.source import Phantom
from tests.conftest import plan_reproduction


def phantom_of(config: ReproduceConfig | TrainConfig) -> Phantom:
    assert isinstance(config.data, Phantom)
    return config.data


def test_paper_size_has_the_settings_of_table_1_for_every_model_protocol_and_seed():
    config = plan_reproduction("data=alkafri", "data.root=/data/lss", "data.channels=t2", "trainer=gpu")
    assert len(config.trainings) == 27
    names = [training.name for training in config.trainings]
    assert names[:4] == [
        "resunet-resubstitution-seed0",
        "resunet-image-seed0",
        "resunet-patient-seed0",
        "inception_unet-resubstitution-seed0",
    ]
    encoders = {"resunet": "resnet34", "inception_unet": "inception_v3", "vgg16_unet": "vgg16"}
    for training in config.trainings[::5]:
        composed = build_train_config(*compose_training(training))
        assert (composed.name, composed.seed, composed.split.protocol) == (
            training.name,
            training.seed,
            training.protocol,
        )
        assert (composed.data.name, composed.data.root, composed.data.channels) == ("alkafri", "/data/lss", "t2")
        assert (composed.optimizer["lr"], composed.data.batch_size, composed.trainer.max_epochs) == (0.0001, 8, 200)
        assert (composed.encoder.name, composed.trainer.accelerator) == (encoders[training.model], "gpu")
        assert getattr(composed.split, "seed", training.seed) == training.seed


def test_overrides_of_the_user_win_over_those_of_the_size():
    config = plan_reproduction(
        "reproduce.size=small", "trainer.max_epochs=3", "data.patients=12", "reproduce.models=[vgg16_unet]"
    ).with_data_of_trainings()
    assert [training.model for training in config.trainings] == ["vgg16_unet"] * 3
    composed = build_train_config(*compose_training(config.trainings[0]))
    assert composed.trainer.max_epochs == 3
    assert phantom_of(composed).patients == phantom_of(config).patients == 12


def test_data_is_that_of_the_trainings():
    config = plan_reproduction("data=phantom", "reproduce.size=small").with_data_of_trainings()
    last = build_train_config(*compose_training(config.trainings[-1]))
    assert phantom_of(config) == phantom_of(last)
    assert (phantom_of(last).patients, phantom_of(last).image_size) == (40, 96)
