"""Guard around third-party parsers, which raise many kinds of exceptions for damaged files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lss_lightning.errors import UserError

_MAX_DETAILS = 160  # characters of a parser's message


@contextmanager
def guard_parser(refuse: Callable[[str], Exception]) -> Iterator[None]:
    """Convert any exception raised by a third-party parser to an error about the file.

    Exceptions of type UserError, and of the type that ``refuse`` returns, are raised unchanged.

    Args:
        refuse: A function that returns the error to raise, given the parser's reason in one line.

    Raises:
        Exception: If the block raises any exception.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
        # SimpleITK states its source file first and the reason last.
        details = lines[-1][:_MAX_DETAILS] if lines else ""
        refusal = refuse(f"{type(error).__name__}{': ' * bool(details)}{details}")
        if isinstance(error, type(refusal)):
            raise
        raise refusal from error
