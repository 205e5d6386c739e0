"""The one exception that means: the user can mend this."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user gave: a setting, a file, a folder.

    The message is one line that names the thing, what was found, what is allowed and the remedy; `entry` prints it
    without a traceback and ends with exit code 2.
    """


def nearest(name: str, allowed: Iterable[str], most: int = 3) -> str:
    """A hint for a mistyped name: ``; did you mean 'a' or 'b'?``, or nothing where no name is near."""
    names = difflib.get_close_matches(name, list(allowed), n=most, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(near) for near in names)}?" if names else ""
