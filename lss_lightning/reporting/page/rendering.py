"""Rendering of Jinja templates as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"
"""Folder of the templates.

Every report extends ``base.html.j2``, which provides the head, style sheet, skip link, header and footer.
"""


def render(template: str, *folders: Path, **values: Any) -> str:
    """Render a template.

    Args:
        template: File name of the template.
        *folders: Folders to search for templates before :data:`TEMPLATES`.
        **values: Variables of the template. ``base.html.j2`` requires ``title``, ``lead`` and ``disclaimer``.

    Returns:
        The HTML text of the page.

    Raises:
        jinja2.UndefinedError: If the template uses a variable that has no value.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from lss_lightning import __version__
    from lss_lightning.reporting.page.blocks import parse_number

    environment = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = parse_number
    return environment.get_template(template).render(version=__version__, **values)
