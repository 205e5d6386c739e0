from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest

from lss_lightning.config.validation import build, check, check_kind, setting
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError, nearest


@dataclass(frozen=True)
class Inner:
    depth: int = setting(1, at_least=1)


@dataclass(frozen=True)
class Section:
    size: int = setting(at_least=1, at_most=10)
    rate: float = setting(0.5, above=0, below=1)
    kind: str = setting("linear", choices=("linear", "cubic"))
    flag: bool = setting(False)
    limit: int | float | None = setting(None, above=0)
    weights: bool | str = setting(False)
    names: list[str] = setting([])
    others: list[str] | None = setting(None)
    inner: Inner | None = None
    codes: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("size", 1, 1),
        ("size", 10, 10),
        ("size", "3", 3),
        ("rate", 1e-9, 1e-9),
        ("kind", "cubic", "cubic"),
        ("flag", True, True),
        ("limit", None, None),
        ("limit", 2, 2),
        ("limit", 0.5, 0.5),
        ("weights", True, True),
        ("weights", "a.pth", "a.pth"),
        ("names", ["a", "b"], ["a", "b"]),
        ("codes", {"a": 1, "b": "2"}, {"a": 1, "b": 2}),
        ("inner", None, None),
        ("inner", {"depth": 2}, Inner(2)),
        ("inner", {}, Inner(1)),
    ],
)
def test_value_is_taken_as_its_type(key, given, expected):
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
        ("size", "???", "part.size is not set: give part.size=…"),
        ("size", " ", "part.size is empty: give part.size=…"),
        ("rate", 0, "part.rate=0: out of range; it must be above 0 and below 1"),
        ("rate", 1, "part.rate=1: out of range; it must be above 0 and below 1"),
        ("rate", math.nan, "part.rate=nan: out of range; it must be above 0 and below 1"),
        ("rate", math.inf, "part.rate=inf: out of range; it must be above 0 and below 1"),
        ("kind", "cubik", "part.kind=cubik: unknown; did you mean 'cubic'?; allowed: linear, cubic"),
        ("kind", "sinc", "part.kind=sinc: unknown; allowed: linear, cubic"),
        ("flag", 2, "part.flag=2: not of the allowed type; give true or false"),
        ("flag", "yes", "part.flag=yes: not of the allowed type; give true or false"),
        ("limit", "all", "part.limit=all: not of the allowed type; give a whole number or a number or null"),
        ("weights", 1, "part.weights=1: not of the allowed type; give true or false or text"),
        ("names", "a", "part.names=a: not of the allowed type; give a list, each item text"),
        ("others", "a", "part.others=a: not of the allowed type; give a list, each item text or null"),
        ("codes", 3, "part.codes=3: not of the allowed type; give {name: value, …}, each value a whole number"),
        ("inner", {"depth": 0}, "part.inner.depth=0: out of range; it must be at least 1"),
        ("inner", True, "part.inner=true: a section of settings, not a value; set one of its own: part.inner.…=…"),
        ("sizes", 3, "part.sizes: no such setting; did you mean 'part.size'?; allowed in part: codes, flag, inner, "
                     "kind, limit, names, others, rate, size, weights"),
    ],
)  # fmt: skip
def test_value_is_refused(key, given, message):
    with pytest.raises(UserError) as refused:
        build(Section, {"size": 5, key: given}, "part")
    assert str(refused.value) == message


def test_missing_key_is_refused():
    with pytest.raises(UserError, match=r"^part\.size is not set: give part\.size=…$"):
        build(Section, {}, "part")


def test_instances_do_not_share_lists():
    one, other = build(Section, {"size": 1}, "part"), build(Section, {"size": 1}, "part")
    one.names.append("changed")
    assert other.names == []


def test_keys_that_no_schema_describes_pass_unchecked():
    assert check(Section, {"size": "4", "betas": [0.9, 0.99]}, "part") == {"size": 4, "betas": [0.9, 0.99]}


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
def test_kind_follows_the_example(example, accepted, refused, words):
    for value in accepted:
        check_kind("part.key", value, example)
    for value in refused:
        with pytest.raises(UserError) as error:
            check_kind("part.key", value, example)
        assert str(error.value) == f"part.key={format_setting(value)}: not of the allowed type; give {words}"


@pytest.mark.parametrize(
    ("name", "allowed", "hint"),
    [
        ("lr", ["optimizer.lr", "model.name"], "; did you mean 'optimizer.lr'?"),
        ("batchsize", ["data.batch_size", "data.root"], "; did you mean 'data.batch_size'?"),
        ("modle.name", ["encoder.name", "model.name", "seed"], "; did you mean 'model.name' or 'encoder.name'?"),
        ("data.foo", ["data.root", "data.name"], ""),
        ("abc", ["abd", "abe", "abf", "abg"], "; did you mean 'abd' or 'abe' or 'abf'?"),
    ],
)
def test_nearest_names(name, allowed, hint):
    assert nearest(name, allowed) == hint
