"""Overrides, as the command line spells them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from lss_lightning.settings import shown

SHORT = {"predict": {"output": "output.folder"}}
"""By command: what is typed, and the setting that it means."""


def spelt_out(command: str, arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments with each shorthand replaced: ``output=x`` alone would put a text in the section's place."""
    short = SHORT.get(command, {})
    spelt = []
    for text in arguments:
        key, equals, value = text.partition("=")
        spelt.append(f"{short[key]}={value}" if equals and key in short else text)
    return spelt


def given_value(key: str, arguments: Sequence[str]) -> str | None:
    """The value that a key is given last, or None where it is not given, or null."""
    texts = [text for text in arguments if text.lstrip("+").startswith(f"{key}=")]
    if not texts:
        return None
    try:
        value = OverridesParser.create().parse_override(texts[-1]).value()
    except HydraException:
        return None  # composing the configuration reports it
    return None if value is None else shown(value)


def pasted(key: str, *paths: Path) -> str:
    """A setting to paste into a shell: a path, or a list of them, quoted for Hydra and for the shell where need be."""
    plain = {path: given_value(key, [f"{key}={path}"]) == str(path) for path in paths}
    texts = [str(path) if plain[path] else '"{}"'.format(str(path).replace('"', '\\"')) for path in paths]
    return shlex.quote(f"{key}={texts[0]}" if len(texts) == 1 else f"{key}=[{','.join(texts)}]")


def quoted(path: Path) -> str:
    """A path as an override spells it, whatever characters it holds."""
    escaped = str(path).replace("'", "\\'")
    return f"'{escaped}'"
