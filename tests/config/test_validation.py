from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal, Required

import pytest
from omegaconf import OmegaConf
from pydantic import Field, PositiveFloat, PositiveInt, StrictStr
from typing_extensions import TypedDict

from lss_lightning.config.validation import build, build_config, check_same_type, validate_open
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError, suggest_nearest


@dataclass(frozen=True)
class Inner:
    depth: PositiveInt = 1


@dataclass(frozen=True)
class Section:
    size: Annotated[int, Field(ge=1, le=10)]
    rate: Annotated[float, Field(gt=0, lt=1)] = 0.5
    kind: Literal["linear", "cubic"] = "linear"
    flag: bool = False
    limit: PositiveInt | PositiveFloat | None = None
    weights: bool | StrictStr = False
    names: list[str] = field(default_factory=list)
    others: list[str] | None = None
    inner: Inner | None = None
    codes: dict[str, int] = field(default_factory=dict)
    range: list[float] = field(default_factory=list)
    text: str = "text"


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("size", 1, 1),
        ("size", 10, 10),
        ("size", "3", 3),
        ("rate", "0.25", 0.25),
        ("range", [0, "1"], [0.0, 1.0]),
        ("text", 3, "3"),
        ("text", 0.5, "0.5"),
        ("rate", 1e-9, 1e-9),
        ("kind", "cubic", "cubic"),
        ("flag", True, True),
        ("limit", None, None),
        ("limit", 2, 2),
        ("limit", 0.5, 0.5),
        ("weights", True, True),
        ("weights", "a.pth", "a.pth"),
        ("names", ["a", "b"], ["a", "b"]),
        ("names", [1, "b"], ["1", "b"]),
        ("codes", {"a": 1, "b": "2"}, {"a": 1, "b": 2}),
        ("inner", None, None),
        ("inner", {"depth": 2}, Inner(2)),
        ("inner", {}, Inner(1)),
    ],
)
def test_value_is_converted_to_the_type_of_its_field(key, given, expected):
    value = getattr(build(Section, {"size": 5, key: given, "_target_": "ignored"}, "part"), key)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("size", 0, "part.size=0: out of range; it must be at least 1 and at most 10"),
        ("size", 11, "part.size=11: out of range; it must be at least 1 and at most 10"),
        ("size", 10**400, f"part.size={10**400}: out of range; it must be at least 1 and at most 10"),
        ("size", 2.5, "part.size=2.5: not of the allowed type; give a whole number"),
        ("size", True, "part.size=true: not of the allowed type; give a whole number"),
        ("size", "two", "part.size=two: not of the allowed type; give a whole number"),
        ("size", None, "part.size=null: not of the allowed type; give a whole number"),
        ("size", [1, None], "part.size=[1, null]: not of the allowed type; give a whole number"),
        ("size", {"a": 1}, "part.size={a: 1}: not of the allowed type; give a whole number"),
        ("size", 3.0, "part.size=3.0: not of the allowed type; give a whole number"),
        ("size", "???", "part.size is not set: give part.size=…"),
        ("size", " ", "part.size is empty: give part.size=…"),
        ("rate", 0, "part.rate=0: out of range; it must be above 0 and below 1"),
        ("rate", 1, "part.rate=1: out of range; it must be above 0 and below 1"),
        ("rate", math.nan, "part.rate=nan: out of range; it must be above 0 and below 1"),
        ("rate", True, "part.rate=true: not of the allowed type; give a number"),
        ("rate", math.inf, "part.rate=inf: out of range; it must be above 0 and below 1"),
        ("kind", "cubik", "part.kind=cubik: unknown; did you mean 'cubic'?; allowed: linear, cubic"),
        ("kind", "sinc", "part.kind=sinc: unknown; allowed: linear, cubic"),
        ("flag", 2, "part.flag=2: not of the allowed type; give true or false"),
        ("flag", 1, "part.flag=1: not of the allowed type; give true or false"),
        ("flag", "yes", "part.flag=yes: not of the allowed type; give true or false"),
        ("limit", "all", "part.limit=all: not of the allowed type; give a whole number or a number or null"),
        ("limit", True, "part.limit=true: not of the allowed type; give a whole number or a number or null"),
        ("limit", -1, "part.limit=-1: out of range; it must be at least 1"),
        ("weights", 1, "part.weights=1: not of the allowed type; give true or false or text"),
        ("names", "a", "part.names=a: not of the allowed type; give a list, each item text"),
        ("names", [None], "part.names=[null]: not of the allowed type; give a list, each item text"),
        ("others", "a", "part.others=a: not of the allowed type; give a list, each item text or null"),
        ("codes", 3, "part.codes=3: not of the allowed type; give {name: value, …}, each value a whole number"),
        ("codes", {"a": True}, "part.codes={a: true}: not of the allowed type; give {name: value, …}, each value a "
                               "whole number"),
        ("codes", {"a": ""}, "part.codes.a is empty: give part.codes.a=…"),
        ("range", [0, math.nan], "part.range=[0, nan]: out of range; it must be finite"),
        ("range", [False, 1], "part.range=[false, 1]: not of the allowed type; give a list, each item a number"),
        ("text", True, "part.text=true: not of the allowed type; give text"),
        ("text", None, "part.text=null: not of the allowed type; give text"),
        ("inner", {"depth": True}, "part.inner.depth=true: not of the allowed type; give a whole number"),
        ("inner", {"depht": 1}, "part.inner.depht: no such setting; did you mean 'part.inner.depth'?; allowed in "
                                "part.inner: depth"),
        ("inner", {"depth": 0}, "part.inner.depth=0: out of range; it must be at least 1"),
        ("inner", True, "part.inner=true: a section of settings, not a value; set one of them: part.inner.…=…"),
        ("sizes", 3, "part.sizes: no such setting; did you mean 'part.size'?; allowed in part: codes, flag, inner, "
                     "kind, limit, names, others, range, rate, size, text, weights"),
    ],
)  # fmt: skip
def test_value_is_refused(key, given, message):
    with pytest.raises(UserError) as refused:
        build(Section, {"size": 5, key: given}, "part")
    assert str(refused.value) == message


def test_missing_key_is_refused():
    with pytest.raises(UserError, match=r"^part\.size is not set: give part\.size=…$"):
        build(Section, {}, "part")


def test_unknown_key_is_reported_before_what_it_may_have_caused():
    with pytest.raises(UserError, match=r"^part\.sizes: no such setting; did you mean 'part\.size'\?"):
        build(Section, {"rate": 2, "sizes": 1}, "part")


def test_single_value_is_not_a_section():
    with pytest.raises(UserError, match=r"^part=3: a section of settings, not a value; set one of them: part\.…=…$"):
        build(Section, 3, "part")


def test_instances_do_not_share_lists():
    first, second = build(Section, {"size": 1}, "part"), build(Section, {"size": 1}, "part")
    first.names.append("changed")
    assert second.names == []


class OpenSection(TypedDict, total=False):
    size: Required[PositiveInt]
    rate: float


def test_open_section_passes_other_keys_unchanged():
    values = {"size": "4", "betas": [0.9, 0.99], "_target_": "a.B"}
    assert validate_open(OpenSection, values, "part") == {"size": 4, "betas": [0.9, 0.99], "_target_": "a.B"}


def test_no_field_of_a_dataclass_is_required_in_an_open_section():
    assert validate_open(Section, {"rate": "0.5", "betas": True}, "part") == {"rate": 0.5, "betas": True}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 1}, "part.size is not set: give part.size=…"),
        ({"size": 0}, "part.size=0: out of range; it must be at least 1"),
        ({"size": True}, "part.size=true: not of the allowed type; give a whole number"),
        ({"size": 1, "betas": "???"}, "part.betas is not set: give part.betas=…"),
        (3, "part=3: a section of settings, not a value; set one of them: part.…=…"),
    ],
)
def test_open_section_refuses(values, message):
    with pytest.raises(UserError) as refused:
        validate_open(OpenSection, values, "part")
    assert str(refused.value) == message


@dataclass(frozen=True)
class CommandConfig:
    seed: int
    inner: Inner
    computed: tuple[str, ...]


def test_command_has_sections_single_values_and_computed_fields():
    cfg = OmegaConf.create({"seed": "3", "inner": {"depth": "${seed}"}})
    assert build_config(CommandConfig, cfg, computed=("a",)) == CommandConfig(3, Inner(3), ("a",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": 1}, "inner is not set: give inner=…"),
        ({"seed": 1, "inner": {}, "sead": 2}, "sead: no such setting; did you mean 'seed'?; allowed: inner, seed"),
        ({"seed": 1, "inner": {}, "computed": []}, "computed: no such setting; allowed: inner, seed"),
        ({"seed": 1, "inner": {"depth": 0}}, "inner.depth=0: out of range; it must be at least 1"),
        ({"seed": 1, "inner": 2}, "inner=2: a section of settings, not a value; set one of them: inner.…=…"),
    ],
)
def test_command_refuses(values, message):
    with pytest.raises(UserError) as refused:
        build_config(CommandConfig, OmegaConf.create(values), computed=())
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("example", "accepted", "refused", "words"),
    [
        (True, [False], [1, "yes", None], "true or false"),
        (3, [4], [4.0, True, "4", None], "a whole number"),
        (0.5, [1, 0.1], [True, "1"], "a number"),
        ("text", ["other", 3, None], [], ""),
        (None, [1, "a"], [], ""),
    ],
)
def test_type_follows_the_example(example, accepted, refused, words):
    for value in accepted:
        check_same_type("part.key", value, example)
    for value in refused:
        with pytest.raises(UserError) as error:
            check_same_type("part.key", value, example)
        assert str(error.value) == f"part.key={format_setting(value)}: not of the allowed type; give {words}"


@pytest.mark.parametrize(
    ("name", "allowed", "suggestion"),
    [
        ("lr", ["optimizer.lr", "model.name"], "; did you mean 'optimizer.lr'?"),
        ("batchsize", ["data.batch_size", "data.root"], "; did you mean 'data.batch_size'?"),
        ("modle.name", ["encoder.name", "model.name", "seed"], "; did you mean 'model.name' or 'encoder.name'?"),
        ("data.foo", ["data.root", "data.name"], ""),
        ("abc", ["abd", "abe", "abf", "abg"], "; did you mean 'abd' or 'abe' or 'abf'?"),
    ],
)
def test_suggestions_are_the_nearest_names(name, allowed, suggestion):
    assert suggest_nearest(name, allowed) == suggestion
