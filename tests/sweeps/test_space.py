from __future__ import annotations

import pytest
from hydra import initialize_config_dir

from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError
from lss_lightning.sweeps.space import SearchSpace, parse_search_space

optuna = pytest.importorskip("optuna", reason="pip install -e .[optuna]")
Categorical = optuna.distributions.CategoricalDistribution
Float = optuna.distributions.FloatDistribution
Int = optuna.distributions.IntDistribution


def parse(*overrides, **params) -> SearchSpace:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return parse_search_space(params, overrides)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("interval(0.5, 2)", Float(0.5, 2.0)),
        ("interval(1, 4)", Float(1.0, 4.0)),
        ("int(interval(1.0, 4.0))", Int(1, 4)),
        ("tag(log, interval(0.001, 1))", Float(0.001, 1.0, log=True)),
        ("tag(log, int(interval(1, 100)))", Int(1, 100, log=True)),
        ("range(2, 10, 2)", Int(2, 8, step=2)),
        ("range(3)", Int(0, 2)),
        ("range(5, 0, -2)", Int(1, 5, step=2)),
        ("range(0.0, 1.0, 0.25)", Float(0.0, 0.75, step=0.25)),
        ("2,0.5,true,null,adam", Categorical([2, 0.5, True, None, "adam"])),
        ("resunet,vgg16_unet", Categorical(["resunet", "vgg16_unet"])),
        ("choice([8],[16,8])", Categorical(["[8]", "[16,8]"])),
    ],
)
def test_hydras_syntax_becomes_a_distribution_of_optuna(value, expected):
    assert parse(f"x={value}") == SearchSpace({"x": expected}, {})


def test_files_of_a_group_are_choices():
    space = parse("model=glob(res*)")
    assert space.distributions == {"model": Categorical(["resunet"])}


def test_the_command_line_replaces_the_searched_settings():
    params = {"optimizer.lr": "interval(0.1, 1)", "loss": "choice(focal,cross_entropy)", "seed": "3"}
    space = parse("optimizer.lr=0.5", "loss=focal,dice_cross_entropy", **params)
    assert space.distributions == {"loss": Categorical(["focal", "dice_cross_entropy"])}
    assert space.fixed == {"seed": "seed=3", "optimizer.lr": "optimizer.lr=0.5"}


def test_the_overrides_of_a_trial_are_written_as_on_the_command_line():
    space = parse("a=true,null", "b=interval(0.0, 1.0)", "c=choice([8],[16])", "+d='x, y'")
    params = {"c": "[8]", "a": None, "b": 1e-05}
    assert space.format_overrides(params) == ["a=null", "b=1e-05", "c=[8]", "+d='x, y'"]
    assert space.format_overrides({**params, "a": True})[0] == "a=true"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["x=tag(log, interval(0.0, 1.0))"], r"x=tag\(log, interval\(0.0, 1.0\)\): cannot be sampled \(.*low"),
        (["x=interval(2, 1)"], r"x=interval\(2, 1\): cannot be sampled"),
        (["x=range(0)"], r"x=range\(0\): cannot be sampled"),
        (["x=1"], "hydra.sweeper.params: a search needs a setting to sample"),
    ],
)
def test_a_space_that_cannot_be_sampled_is_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        parse(*overrides)
