"""The one exception that means: the user can mend this."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import NoReturn


class UserError(Exception):
    """A mistake in what the user gave: a setting, a file, a folder.

    The message is one line that names the thing, what was found, what is allowed and the remedy; `entry` prints it
    without a traceback and ends with :attr:`exit_code`.
    """

    exit_code = 2


class IncompleteError(UserError):
    """A mistake that spoiled part of the work, while the rest of it has been done."""

    exit_code = 1


class DivergenceError(UserError):
    """A training whose loss or weights are not finite any more: in a sweep an outcome, not a failure."""


def fail(message: str, code: int = UserError.exit_code) -> NoReturn:
    """Print one line on stderr and end."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def nearest(name: str, allowed: Iterable[str], most: int = 3) -> str:
    """A hint for a mistyped name: ``; did you mean 'a' or 'b'?``, or nothing where no name is near.

    Of dotted names the last parts must be alike: ``lr`` leads to ``optimizer.lr``, ``data.foo`` not to ``data.root``.
    """
    last = name.rpartition(".")[2]
    near = [option for option in allowed if _likeness(last, option.rpartition(".")[2]) >= 0.6]
    near.sort(key=lambda option: _likeness(last, option.rpartition(".")[2]) + _likeness(name, option), reverse=True)
    return f"; did you mean {' or '.join(map(repr, near[:most]))}?" if near else ""


def _likeness(one: str, other: str) -> float:
    """From 0, nothing in common, to 1, the same."""
    return SequenceMatcher(None, one, other).ratio()
