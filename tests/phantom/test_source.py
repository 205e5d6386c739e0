"""Tests of the phantom as a data source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.errors import UserError
from lss_lightning.phantom import layout
from lss_lightning.phantom.source import Phantom
from tests.conftest import configure


def configure_phantom(*overrides: str) -> Phantom:
    source = configure("data=phantom", *overrides).data
    assert isinstance(source, Phantom)
    return source


def test_number_of_patients_of_the_paper_is_one_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[tuple[int, str]] = []

    def record_jobs(_: object, jobs: list[tuple[int, str]], *__: object, **___: object) -> Iterator[object]:
        planned.extend(jobs)
        raise KeyboardInterrupt

    monkeypatch.setattr(layout, "map_parallel", record_jobs)
    source = configure_phantom("data.patients=515", f"data.root={tmp_path}")
    with pytest.raises(KeyboardInterrupt):
        source.prepare()
    assert len(planned) == len(set(planned)) == 1545
    assert {level for _, level in planned} == set(ALKAFRI_LEVELS)


def test_severity_is_a_setting_with_its_own_folder(tmp_path: Path) -> None:
    severe, full = (
        configure_phantom(f"data.root={tmp_path}", "data.patients=1", "data.image_size=64", *more)
        for more in (["data.severity=[0.8,1]"], [])
    )
    assert severe.folder != full.folder
    severe.prepare()
    rows = (severe.folder / "truth.csv").read_text().splitlines()
    column = rows[0].split(",").index("severity")
    assert all(0.8 <= float(row.split(",")[column]) <= 1 for row in rows[1:])


@pytest.mark.parametrize("severities", ["[0,1.5]", "[-0.5,1]", "[0.7,0.3]", "[0.5]"])
def test_impossible_severities_are_refused_when_the_configuration_is_read(severities: str) -> None:
    with pytest.raises(UserError, match=r"data.severity=.*impossible anatomy.*from 0 to 1"):
        configure("data=phantom", f"data.severity={severities}")


def test_slices_are_grouped_by_level_and_severity(tmp_path: Path) -> None:
    source = configure_phantom(f"data.root={tmp_path}", "data.patients=4", "data.image_size=64")
    source.prepare()
    rows = (source.folder / "truth.csv").read_text().splitlines()
    truth = {tuple(row.split(",")[:2]): float(row.split(",")[2]) for row in rows[1:]}
    bounds = {"none": (0, 0.25), "mild": (0.25, 0.5), "moderate": (0.5, 0.75), "severe": (0.75, 1.01)}
    slices = source.find().slices
    assert len(slices) == len(truth) == 12
    for slice_ in slices:
        low, high = bounds[slice_.groups["severity"]]
        assert low <= truth[slice_.patient, slice_.level] < high
        assert slice_.groups["level"] == slice_.level
    assert source.groupings == {"level": ALKAFRI_LEVELS, "severity": tuple(bounds)}
    assert len({slice_.groups["severity"] for slice_ in slices}) > 1


def test_truth_without_severities_is_refused(tmp_path: Path) -> None:
    source = configure_phantom(f"data.root={tmp_path}", "data.patients=1", "data.image_size=64")
    source.prepare()
    (source.folder / "truth.csv").write_text("patient,level\n0001,D3\n")
    with pytest.raises(UserError, match=r"truth.csv: cannot be read .*severity.*; remove .* so that the phantom is"):
        source.find()
