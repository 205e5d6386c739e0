"""Names of timm's networks, read from its source files, because importing timm takes seconds."""

from __future__ import annotations

import difflib
import importlib.util
import re
from functools import cache
from pathlib import Path

from lss_lightning.errors import UserError

_REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


@cache
def list_timm_encoders() -> tuple[str, ...]:
    """Return the sorted names of all networks in the installed timm, including those without a feature pyramid."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("timm is not installed: pip install timm")
    sources = Path(spec.submodule_search_locations[0], "models").glob("*.py")
    return tuple(sorted(name for source in sources for name in _REGISTERED.findall(source.read_text("utf-8"))))


def check_encoder_name(name: str) -> None:
    """Check that timm has a network of the given name.

    Args:
        name: Name in timm, with or without the tag of a set of weights, e.g. ``resnet34`` or ``resnet34.a1_in1k``.

    Raises:
        UserError: If there is no such network; the message suggests similar names.
    """
    names = list_timm_encoders()
    architecture = name.split(".")[0]
    if architecture in names:
        return
    similar = difflib.get_close_matches(architecture, names, n=3) or ["resnet34", "inception_v3", "vgg16"]
    raise UserError(f"encoder.name={name}: timm has no such network among its {len(names)}; try {', '.join(similar)}")
