from __future__ import annotations

import sys
from dataclasses import asdict

import pytest

from lss_lightning.config.data import build_data_source, build_split_protocol
from lss_lightning.data.alkafri import AlKafri
from lss_lightning.errors import UserError
from lss_lightning.runs.trust import trust_classes

FOREIGN = """
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import SplitProtocol


@dataclass(frozen=True, kw_only=True)
class Hospital(DataSource):
    ward: Annotated[int, Field(ge=1)] = 1


@dataclass(frozen=True)
class EveryOther(SplitProtocol):
    offset: int = 0
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user with a data source and a split protocol."""
    (tmp_path / "hospital_package.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "hospital_package"
    sys.modules.pop("hospital_package", None)
    trust_classes([])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "x"}, "data.name=x: not a data source; choose one"),
        ({"_target_": "os.system"}, "data._target_=os.system: not a data source"),
        ({"_target_": "nope"}, "data._target_=nope: cannot be imported"),
        ({"_target_": "lss_lightning.data.nope.Nope"}, "data._target_=lss_lightning.data.nope.Nope: cannot be i"),
        ({"_target_": "lss_lightning.data.alkafri.Nope"}, "data._target_=lss_lightning.data.alkafri.Nope: cannot"),
        ({"_target_": "lss_lightning.data.alkafri.find_slices"}, "data._target_=lss_lightning.data.alkafri.find_s"),
        ({"_target_": "lss_lightning.data.source.DataSource"}, "data._target_=lss_lightning.data.source.DataSource:"),
    ],
)  # fmt: skip
def test_other_names_are_refused(section, message):
    with pytest.raises(UserError) as refused:
        build_data_source(section)
    assert str(refused.value).startswith(message)


def test_classes_of_the_user_are_built_and_their_fields_validated(package):
    section = {"_target_": f"{package}.Hospital", "name": "mine", "root": "x"}
    assert asdict(build_data_source({**section, "ward": 3}))["ward"] == 3
    with pytest.raises(UserError, match=r"^data\.ward=0: out of range; it must be at least 1$"):
        build_data_source({**section, "ward": 0})
    with pytest.raises(UserError, match=r"^data\.wart: no such setting; did you mean 'data\.ward'\?"):
        build_data_source({**section, "wart": 3})
    split = build_split_protocol({"_target_": f"{package}.EveryOther", "offset": 1})
    assert (asdict(split), split.protocol) == ({"offset": 1}, "EveryOther")


def test_a_stored_class_is_not_imported_unless_the_user_trusts_it(package):
    section = {"_target_": f"{package}.Hospital", "name": "mine", "root": "x"}
    with pytest.raises(UserError, match=rf"^run: settings.* add trust=\[{package}\.Hospital\]$"):
        build_data_source(section, stored_by="run")
    assert package not in sys.modules
    trust_classes([f"{package}.Hospital"])
    assert asdict(build_data_source(section, stored_by="run"))["ward"] == 1


def test_stored_classes_of_this_package_must_be_listed():
    section = {"_target_": "lss_lightning.data.splits.fractions._FractionSplit"}
    with pytest.raises(UserError, match="may only name classes that this project lists"):
        build_split_protocol(section, stored_by="run")


def test_section_is_built():
    section = {"_target_": "lss_lightning.data.alkafri.AlKafri", "name": "alkafri", "root": "x", "batch_size": 3}
    assert build_data_source(section) == AlKafri(name="alkafri", root="x", batch_size=3)
