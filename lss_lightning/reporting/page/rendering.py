"""From a template to the text of a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"
"""``base.html.j2`` is what every page extends: head, style sheet, skip link, header and footer with the disclaimer."""


def render(template: str, *folders: Path, **values: Any) -> str:
    """Fill a template.

    Args:
        template: Its file's name.
        folders: Where it and what it includes are looked for before :data:`TEMPLATES`.
        values: What it speaks of; ``base.html.j2`` needs ``title``, ``lead`` and ``disclaimer``.

    Raises:
        jinja2.UndefinedError: it speaks of something that is not given.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from lss_lightning import __version__
    from lss_lightning.reporting.page.blocks import number_of

    environment = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number_of
    return environment.get_template(template).render(version=__version__, **values)
