"""The Weights & Biases dashboard of the project.

``python -m lss_lightning.reporting.loggers.wandb_workspace project=lss_lightning entity=my-team`` saves a workspace
view with training curves by model, results by class, parallel coordinates of sweeps, and the test slices. It requires
the extra ``wandb`` and an account.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lss_lightning.config.validation import describe_unknown_key
from lss_lightning.errors import UserError, fail
from lss_lightning.labels import LUMBAR

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import PanelTypes
    from wandb_workspaces.workspaces import Section, Workspace

ARGUMENTS = ("project", "entity", "classes")
OBJECTIVE_METRIC = "objective"
SWEEP_SETTINGS = ("model", "encoder", "optimizer.lr", "data.batch_size")
"""Settings that have an axis in the parallel-coordinates plot of a sweep."""

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
        arguments: ``project=…``, ``entity=…`` (default: that of the account) and, for classes other than the six
            of the paper, ``classes=key,key``.

    Raises:
        UserError: If an argument is unknown, the extra ``wandb`` is not installed, or W&B rejects the dashboard.
    """
    values = _parse(arguments)
    if find_spec("wandb_workspaces") is None:
        raise UserError("the dashboard requires wandb-workspaces; run pip install 'lss-lightning[wandb]'")
    import wandb

    project, entity = values.get("project", "lss_lightning"), values.get("entity", "")
    classes = values["classes"].split(",") if "classes" in values else LUMBAR.keys
    workspace = build_workspace(project, entity, classes)
    size = f"{len(workspace.sections)} sections, {sum(len(section.panels) for section in workspace.sections)} panels"
    wandb.setup(wandb.Settings(silent=True))
    try:
        if not wandb.login(prompt=False, verify=False):
            print(f"{size}: not saved, no account found; run wandb login or set WANDB_API_KEY")
            return
        workspace.entity = entity or str(wandb.Api().default_entity)
        workspace.save()
    except (wandb.errors.Error, ValueError, OSError) as error:
        raise UserError(f"entity={entity}, project={project}: W&B could not save the dashboard ({error})") from error
    print(f"{size}: {workspace.url}")


def build_workspace(project: str, entity: str, classes: Sequence[str]) -> Workspace:
    """Build the dashboard without saving it.

    Args:
        project: The project of the runs.
        entity: The user or team that owns the project.
        classes: The keys of the classes.
    """
    from wandb_workspaces import workspaces as ws

    pinned = ["run:displayName", *(f"config:{key}.value" for key in SWEEP_SETTINGS), f"summary:{OBJECTIVE_METRIC}"]
    return ws.Workspace(
        name="Lumbar segmentation",
        entity=entity,
        project=project,
        sections=[_curves(), _results_by_class(classes), _sweeps(), _slices()],
        runset_settings=ws.RunsetSettings(
            order=[ws.Ordering(ws.Summary(OBJECTIVE_METRIC), ascending=False)], pinned_columns=pinned
        ),
    )


def _curves() -> Section:
    from wandb_workspaces.reports import v2 as wr
    from wandb_workspaces.workspaces import Section

    model = wr.Config("model")
    panels: list[PanelTypes] = [
        wr.LinePlot(title=title, x="epoch", y=[*metrics], groupby=model, groupby_rangefunc="minmax")
        for title, metrics in CURVES.items()
    ]
    return Section(name="Training curves by model", panels=panels, is_open=True)


def _results_by_class(classes: Sequence[str]) -> Section:
    from wandb_workspaces.reports import v2 as wr
    from wandb_workspaces.workspaces import Section

    model = wr.Config("model")
    bars = wr.BarPlot(
        title="Test IoU", metrics=[f"test/iou/{key}" for key in classes], groupby=model, groupby_rangefunc="stddev"
    )
    curves = [
        wr.LinePlot(title=f"Validation IoU, {key}", x="epoch", y=[f"val/iou/{key}"], groupby=model) for key in classes
    ]
    return Section(name="Results by class", panels=[bars, *curves], is_open=True)


def _sweeps() -> Section:
    from wandb_workspaces.reports import v2 as wr
    from wandb_workspaces.workspaces import Section

    class DottedColumn(wr.ParallelCoordinatesPlotColumn):
        """A column for a setting with a dotted key, which the library would treat as a nested section."""

        def _to_model(self) -> Any:
            column = super()._to_model()
            assert isinstance(self.metric, wr.Config)
            column.accessor = f"config:{self.metric.name}.value"
            return column

    settings = [DottedColumn(wr.Config(key), log=key == "optimizer.lr") for key in SWEEP_SETTINGS]
    columns = [*settings, wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(OBJECTIVE_METRIC))]
    return Section(
        name="Sweeps",
        panels=[
            wr.ParallelCoordinatesPlot(title="Settings and validation objective", columns=columns),
            wr.ParameterImportancePlot(with_respect_to=OBJECTIVE_METRIC),
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
            wr.MediaBrowser(title="Report figures", media_keys=[f"figure/{name}" for name in FIGURES], num_columns=2),
        ],
        is_open=True,
    )


def _parse(arguments: Sequence[str]) -> dict[str, str]:
    values = dict(argument.partition("=")[::2] for argument in arguments)
    for key, value in values.items():
        if key not in ARGUMENTS:
            raise UserError(describe_unknown_key(key, ARGUMENTS, ARGUMENTS))
        if not value:
            raise UserError(f"{key}=: no value; set {key}=… or leave it out")
    return values


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        fail(str(error))
