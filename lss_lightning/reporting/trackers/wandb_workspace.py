"""The project's dashboard in Weights & Biases.

``python -m lss_lightning.reporting.trackers.wandb_workspace project=lss_lightning entity=my-team`` saves a view with
curves by model, bars by class, the sweeps' parallel coordinates and the tested slices. It needs the extra ``wandb`` and
an account; without one it says so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lss_lightning.config.validation import unknown_key
from lss_lightning.errors import UserError, fail
from lss_lightning.labels import LUMBAR

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import PanelTypes
    from wandb_workspaces.workspaces import Section, Workspace

ARGUMENTS = ("project", "entity", "classes")
OBJECTIVE = "objective"
SWEPT = ("model", "encoder", "optimizer.lr", "data.batch_size")
"""Settings along whose axes a sweep's runs are drawn."""

FIGURES = ("curves", "confusion", "examples", "reliability")
CURVES = {
    "Validation mean IoU, anatomical classes": ["val/mean_iou_anatomy"],
    "Validation mean IoU, all classes": ["val/mean_iou"],
    "Loss": ["train/loss", "val/loss"],
    "Learning rate": ["lr"],
    "Gradient norm": ["grad_norm"],
    "Images per second": ["images_per_second"],
}


def main(arguments: Sequence[str]) -> None:
    """Build the dashboard and save it.

    Args:
        arguments: ``project=…``, ``entity=…`` (else the account's own) and, where the classes are not the paper's six,
            ``classes=key,key``.

    Raises:
        UserError: an unknown argument, the extra ``wandb`` is not installed, or W&B refuses.
    """
    given = _parse(arguments)
    if find_spec("wandb_workspaces") is None:
        raise UserError("the dashboard needs wandb-workspaces: pip install 'lss-lightning[wandb]'")
    import wandb

    project, entity = given.get("project", "lss_lightning"), given.get("entity", "")
    workspace = build(project, entity, given["classes"].split(",") if "classes" in given else LUMBAR.keys)
    size = f"{len(workspace.sections)} sections, {sum(len(section.panels) for section in workspace.sections)} panels"
    wandb.setup(wandb.Settings(silent=True))
    try:
        if not wandb.login(prompt=False, verify=False):
            print(f"{size}: not saved, since no account was found; wandb login or WANDB_API_KEY gives one")
            return
        workspace.entity = entity or str(wandb.Api().default_entity)
        workspace.save()
    except (wandb.errors.Error, ValueError, OSError) as error:
        raise UserError(f"entity={entity}, project={project}: W&B does not save the dashboard ({error})") from error
    print(f"{size}: {workspace.url}")


def build(project: str, entity: str, classes: Sequence[str]) -> Workspace:
    """Specify the dashboard.

    Args:
        project: Of the runs.
        entity: Its user or team.
        classes: The classes' keys.
    """
    from wandb_workspaces import workspaces as ws

    pinned = ["run:displayName", *(f"config:{key}.value" for key in SWEPT), f"summary:{OBJECTIVE}"]
    return ws.Workspace(
        name="Lumbar segmentation",
        entity=entity,
        project=project,
        sections=[_learning(), _by_class(classes), _sweeps(), _slices()],
        runset_settings=ws.RunsetSettings(
            order=[ws.Ordering(ws.Summary(OBJECTIVE), ascending=False)], pinned_columns=pinned
        ),
    )


def _learning() -> Section:
    from wandb_workspaces.reports import v2 as wr
    from wandb_workspaces.workspaces import Section

    model = wr.Config("model")
    panels: list[PanelTypes] = [
        wr.LinePlot(title=title, x="epoch", y=[*metrics], groupby=model, groupby_rangefunc="minmax")
        for title, metrics in CURVES.items()
    ]
    return Section(name="Learning, by model", panels=panels, is_open=True)


def _by_class(classes: Sequence[str]) -> Section:
    from wandb_workspaces.reports import v2 as wr
    from wandb_workspaces.workspaces import Section

    model = wr.Config("model")
    bars = wr.BarPlot(
        title="Test IoU", metrics=[f"test/iou/{key}" for key in classes], groupby=model, groupby_rangefunc="stddev"
    )
    curves = [
        wr.LinePlot(title=f"Validation IoU, {key}", x="epoch", y=[f"val/iou/{key}"], groupby=model) for key in classes
    ]
    return Section(name="By class", panels=[bars, *curves], is_open=True)


def _sweeps() -> Section:
    from wandb_workspaces.reports import v2 as wr
    from wandb_workspaces.workspaces import Section

    class DottedColumn(wr.ParallelCoordinatesPlotColumn):
        """A setting under a dotted key, which the library would take for a section with settings in it."""

        def _to_model(self) -> Any:
            column = super()._to_model()
            assert isinstance(self.metric, wr.Config)
            column.accessor = f"config:{self.metric.name}.value"
            return column

    settings = [DottedColumn(wr.Config(key), log=key == "optimizer.lr") for key in SWEPT]
    columns = [*settings, wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(OBJECTIVE))]
    return Section(
        name="Sweeps",
        panels=[
            wr.ParallelCoordinatesPlot(title="Settings and validation objective", columns=columns),
            wr.ParameterImportancePlot(with_respect_to=OBJECTIVE),
        ],
        is_open=True,
    )


def _slices() -> Section:
    from wandb_workspaces.reports import v2 as wr
    from wandb_workspaces.workspaces import Section

    return Section(
        name="Slices",
        panels=[
            wr.WeavePanelSummaryTable(table_name="test/cases"),
            wr.MediaBrowser(title="Validation slices", media_keys=["val/slices"], num_columns=4),
            wr.MediaBrowser(title="Report", media_keys=[f"figure/{name}" for name in FIGURES], num_columns=2),
        ],
        is_open=True,
    )


def _parse(arguments: Sequence[str]) -> dict[str, str]:
    given = dict(argument.partition("=")[::2] for argument in arguments)
    for key, value in given.items():
        if key not in ARGUMENTS:
            raise UserError(unknown_key(key, ARGUMENTS, ARGUMENTS))
        if not value:
            raise UserError(f"{key} is empty: give {key}=…")
    return given


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        fail(str(error))
