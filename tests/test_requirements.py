from __future__ import annotations

import re
import tomllib
from itertools import product

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.cli.commands import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [*map(Requirement, [*PROJECT["dependencies"], *EXTRAS["dev"], *EXTRAS["cluster"], *EXTRAS["optuna"]])]
TEXT = (REPOSITORY / "requirements.txt").read_text("utf-8")
ENTRIES = [entry.strip() for entry in re.sub(r"\\\n\s*", " ", TEXT).splitlines() if not entry.startswith("#")]

SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
)
PYTHONS = ("3.11", "3.12", "3.13")
ENVIRONMENTS = [
    {**system, "python_version": python, "python_full_version": f"{python}.5"}
    for system, python in product(SYSTEMS, PYTHONS)
]


def pinned(entry):
    return Requirement(entry.partition(" --hash")[0])


PINS = [pinned(entry) for entry in ENTRIES]


def versions(name, environment):
    """Return the pinned versions of a package that an environment installs."""
    pins = [pin for pin in PINS if canonicalize_name(pin.name) == canonicalize_name(name)]
    chosen = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
    return [specifier.version for pin in chosen for specifier in pin.specifier]


@pytest.mark.parametrize("direct", DIRECT, ids=lambda requirement: requirement.name)
def test_direct_dependency_is_pinned_once_for_every_system_and_python(direct):
    for environment in ENVIRONMENTS:
        [version] = versions(direct.name, environment)
        assert direct.specifier.contains(version), environment


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.partition("=")[0])
def test_entry_pins_one_version_with_hashes(entry):
    requirement = pinned(entry)
    [specifier] = requirement.specifier
    assert specifier.operator == "=="
    assert "*" not in specifier.version
    assert requirement.url is None
    hashes = entry.split(" --hash=")[1:]
    assert hashes
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest.strip()) for digest in hashes)


def test_no_environment_gets_two_versions_of_a_package():
    for name, environment in product({pin.name for pin in PINS}, ENVIRONMENTS):
        assert len(versions(name, environment)) <= 1, (name, environment)


def test_there_are_no_index_urls_and_options():
    assert "://" not in TEXT
    assert [line for line in TEXT.splitlines() if re.match(r"\s*-(?!-hash=sha256:)", line)] == []


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_malicious_releases_of_lightning_are_excluded(version):
    [lightning] = [requirement for requirement in DIRECT if requirement.name == "pytorch-lightning"]
    assert not lightning.specifier.contains(version)
    assert lightning.specifier.contains("2.6.1")
    assert lightning.specifier.contains("2.6.6")
    assert not {"lightning"} & {canonicalize_name(pin.name) for pin in PINS}


def test_every_dependency_has_a_lower_bound():
    for requirement in DIRECT:
        lower = [specifier for specifier in requirement.specifier if specifier.operator == ">="]
        assert len(lower) == 1, requirement
    bounds = {requirement.name: requirement.specifier for requirement in DIRECT}
    assert bounds["torch"].contains("2.8.0")
    assert not bounds["torch"].contains("2.7.1")


def test_declared_python_versions_are_those_of_the_pins():
    assert PROJECT["requires-python"] == f">={min(PYTHONS, key=Version)}"
    declared = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
    assert tuple(declared) == PYTHONS
