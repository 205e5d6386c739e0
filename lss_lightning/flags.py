"""Hydra's flags, which may stand anywhere among the settings."""

from __future__ import annotations

import re
from argparse import ArgumentError
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser

from lss_lightning.errors import UserError, nearest


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments with the flags before the settings, which its own parser takes only in one piece.

    Args:
        arguments: Flags, such as ``-m``, and settings in any order.

    Raises:
        UserError: a flag that there is not, or one without its value, where Hydra would show its usage.
    """
    parser = get_args_parser()
    parser.exit_on_error = parser.allow_abbrev = False
    try:
        parsed, unknown = parser.parse_known_intermixed_args(arguments)
    except ArgumentError as error:
        raise UserError(f"{error.argument_name}: {error.message}; --hydra-help explains the flags") from error
    if unknown:
        known = re.findall(r"--[\w-]+", parser.format_usage())
        raise UserError(f"{unknown[0]}: no such flag{nearest(unknown[0], known)}; --hydra-help lists them")
    flags = list(arguments)
    for text in parsed.overrides:
        flags.remove(text)
    return [*flags, *parsed.overrides]
