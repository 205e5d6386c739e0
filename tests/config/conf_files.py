"""The files of conf/, and the settings that they leave to the user."""

from __future__ import annotations

from pathlib import Path

from lss_lightning.config.sections import config_folder

CHOICES = sorted(
    (str(path.parent.relative_to(config_folder())), path.stem)
    for path in config_folder().rglob("*.yaml")
    if path.parent != config_folder()
)
"""The group and name of each file that can be chosen."""


def required_overrides(group: str, name: str, folder: Path) -> list[str]:
    """Return overrides for the settings that a file leaves to the user. Files they need are written into a folder."""
    if (group, name) == ("split", "file"):
        (folder / "split.csv").write_text("patient,part\n0001,train\n0002,test\n")
        return [f"split.file={folder / 'split.csv'}"]
    if name == "alkafri" or (name.startswith("paper_") and group == "experiment"):
        return ["data.root=/data/lss"]
    if (group, name) == ("data", "folder"):
        return ["data.root=/data/mine", "data.classes={background: 0, disc: 1}"]
    if (group, name) == ("model", "custom"):
        return ["model._target_=mine.Net", "model.name=mine"]
    if (group, name) == ("encoder", "none"):
        return ["model=dynunet"]
    if group.startswith("hydra/sweeper"):
        return ["hparams_search=optuna"]
    return ["encoder.name=resnet26"] if name == "timm" else []
