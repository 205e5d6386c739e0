"""Draw docs/architecture.svg from the package's imports: ``python -m docs.draw_architecture``.

``tests/test_architecture.py`` fails when the picture no longer shows the code.
"""

from __future__ import annotations

from pathlib import Path

import grimp
from jinja2 import Template

PACKAGE = "lss_lightning"
PICTURE = Path(__file__).with_name("architecture.svg")

LAYERS = {
    "api": "the commands as Python functions",
    "cli": "Hydra around the workflows, errors in one line",
    "workflows": "one recipe per command",
    "reporting": "tables, figures, pages, DICOM objects, loggers",
    "sweeps": "many runs: folder, jobs, results",
    "config": "the schema of every section and command",
    "phantom": "the virtual scanner",
    "models": "encoders, U-Net, losses, modules, checkpoints",
    "data": "sources, slices, cache, batches, splits, DICOM",
    "metrics": "counts, overlap, distances, intervals",
    "stenosis": "from label maps to measurements in mm",
    "runs": "run directories and what is in them",
    "ground": "errors, labels, files, display",
}
"""The layers from top to bottom with their contents. A layer imports only from layers below it."""

_TEMPLATE = Template(
    """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{ width }} {{ height }}" role="img" \
font-family="system-ui, sans-serif" font-size="13">
<title>Layers of lss_lightning and their imports</title>
<style>
  text { fill: #1f2933 } .about { fill: #52606d }
  .band { fill: #f2f5f8 } .own { fill: #0072b2 } .layer { fill: #c9d2da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e9ee } .about { fill: #a5b1bd }
    .band { fill: #1d2731 } .own { fill: #56b4e9 } .layer { fill: #37434f }
  }
</style>
{%- for layer in layers %}
<rect class="band" x="0" y="{{ layer.y }}" width="{{ width }}" height="{{ step - 4 }}" rx="4"/>
<text x="12" y="{{ layer.y + 18 }}" font-weight="600">{{ layer.name }}</text>
<text class="about" x="104" y="{{ layer.y + 18 }}">{{ layer.about }}</text>
<text x="{{ layer.x + 3 }}" y="{{ top - 10 }}" transform="rotate(-45 {{ layer.x }} {{ top - 10 }})">\
{{ layer.name }}</text>
{%- endfor %}
{%- for layer in layers %}
<rect class="layer" x="{{ layer.x - 5 }}" y="{{ layer.y + 8 }}" width="10" height="10" rx="2"/>
{%- endfor %}
{%- for dot in dots %}
<circle class="own" cx="{{ dot.x }}" cy="{{ dot.y }}" r="5"><title>{{ dot.title }}</title></circle>
{%- endfor %}
</svg>
"""
)
_LEFT, _TOP, _COLUMN, _ROW = 440, 84, 26, 30  # pixels


def imports() -> set[tuple[str, str]]:
    """Return the pairs (importing layer, imported layer) of the package, without imports for type checking alone."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    pairs = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = (_layer(module), _layer(imported))
            if pair[0] != pair[1] and "" not in pair:
                pairs.add(pair)
    return pairs


def draw() -> str:
    """Return the picture as SVG: a row per layer with a dot in the column of every layer that it imports."""
    names = list(LAYERS)
    x = {name: _LEFT + column * _COLUMN for column, name in enumerate(names)}
    y = {name: _TOP + row * _ROW for row, name in enumerate(names)}
    pairs = sorted(imports(), key=lambda pair: [names.index(name) for name in pair])
    return _TEMPLATE.render(
        layers=[{"name": name, "about": about, "x": x[name], "y": y[name]} for name, about in LAYERS.items()],
        dots=[
            {"x": x[imported], "y": y[importer] + (_ROW - 4) // 2, "title": f"{importer} imports {imported}"}
            for importer, imported in pairs
        ],
        width=_LEFT + len(names) * _COLUMN + 20,
        height=_TOP + len(names) * _ROW,
        step=_ROW,
        top=_TOP,
    )


def _layer(module: str) -> str:
    """Return the layer of a module, or an empty text for the package itself and its entry point."""
    _, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    if name in ("", "__main__"):
        return ""
    return name if name in LAYERS else "ground"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
