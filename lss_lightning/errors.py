"""Exceptions for mistakes that the user can correct, and their one-line messages."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import NoReturn


class UserError(Exception):
    """A mistake in the user's input: a setting, a file or a folder.

    The message is one line with the setting or file, the value found, the allowed values and the remedy. The command
    line prints it without a traceback and exits with :attr:`exit_code`.

    Attributes:
        files: The affected files, if the message does not name them. They are only shown in the terminal: a message
            that is stored must not contain file names, because these may include the name of a patient.
    """

    exit_code = 2

    def __init__(self, message: str = "", files: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.files = tuple(files)


class IncompleteError(UserError):
    """A mistake that prevented part of the work; the rest was completed."""

    exit_code = 1


class DivergenceError(UserError):
    """A training run whose loss or weights are no longer finite. In a sweep, this is a result, not a failure."""


class PrunedError(Exception):
    """A trial that was stopped by the pruner of a search. This is a result, not a failure."""


def fail(message: str, code: int = UserError.exit_code) -> NoReturn:
    """Print an error as one line on stderr, and exit."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def suggest_nearest(name: str, allowed: Iterable[str], limit: int = 3) -> str:
    """Suggest corrections of a mistyped name.

    The last parts of dotted names must be similar: ``lr`` suggests ``optimizer.lr``, but ``data.foo`` does not suggest
    ``data.root``.

    Args:
        name: The name that the user gave.
        allowed: The names that exist.
        limit: Maximum number of suggestions.

    Returns:
        A part of a message, ``; did you mean 'a' or 'b'?``, or an empty string if no name is similar.
    """
    last = name.rpartition(".")[2]
    near = [option for option in allowed if _similarity(last, option.rpartition(".")[2]) >= 0.6]
    near.sort(key=lambda option: _similarity(last, option.rpartition(".")[2]) + _similarity(name, option), reverse=True)
    return f"; did you mean {' or '.join(map(repr, near[:limit]))}?" if near else ""


def _similarity(first: str, second: str) -> float:
    """Return the similarity of two texts, from 0 to 1 (equal)."""
    return SequenceMatcher(None, first, second).ratio()
