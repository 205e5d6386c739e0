"""Settings that the command line may give by a section's name alone."""

from __future__ import annotations

from collections.abc import Sequence

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
