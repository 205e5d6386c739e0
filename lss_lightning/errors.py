"""The one exception that means: the user can mend this."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher


class UserError(Exception):
    """A mistake in what the user gave: a setting, a file, a folder.

    The message is one line that names the thing, what was found, what is allowed and the remedy; `entry` prints it
    without a traceback and ends with exit code 2.
    """


def nearest(name: str, allowed: Iterable[str], most: int = 3) -> str:
    """A hint for a mistyped name: ``; did you mean 'a' or 'b'?``, or nothing where no name is near.

    Dotted names are compared as a whole and by their last part, so that ``lr`` leads to ``optimizer.lr``.
    """

    def likeness(option: str) -> float:
        pairs = ((name, option), (name.rpartition(".")[2], option.rpartition(".")[2]))
        return max(SequenceMatcher(None, *pair).ratio() for pair in pairs)

    near = [option for option in sorted(allowed, key=likeness, reverse=True) if likeness(option) >= 0.6][:most]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
