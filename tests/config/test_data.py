from __future__ import annotations

import pytest

from lss_lightning.config.data import build_data_source
from lss_lightning.data.alkafri import AlKafri
from lss_lightning.errors import UserError


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "x"}, "data.name=x: not a data source; choose one"),
        ({"_target_": "os.system"}, "data._target_=os.system: not a data source"),
        ({"_target_": "lss_lightning.data.nope.Nope"}, "data._target_=lss_lightning.data.nope.Nope: not a data source"),
        ({"_target_": "lss_lightning.data.alkafri.find_slices"}, "data._target_=lss_lightning.data.alkafri.find_s"),
        ({"_target_": "lss_lightning.data.source.DataSource"}, "data._target_=lss_lightning.data.source.DataSource:"),
    ],
)  # fmt: skip
def test_other_classes_are_refused(section, message):
    with pytest.raises(UserError) as refused:
        build_data_source(section)
    assert str(refused.value).startswith(message)


def test_other_modules_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "foreign.py").write_text("raise SystemExit('this ran')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"data\._target_=foreign\.Source: not a data source"):
        build_data_source({"_target_": "foreign.Source", "name": "foreign"})


def test_section_is_built():
    section = {"_target_": "lss_lightning.data.alkafri.AlKafri", "name": "alkafri", "root": "x", "batch_size": 3}
    assert build_data_source(section) == AlKafri(name="alkafri", root="x", batch_size=3)
