"""Which trainings a reproduction of the paper consists of, and the command line of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from lss_lightning.config.folder import config_folder
from lss_lightning.errors import UserError
from lss_lightning.settings import setting

MODELS = ("resunet", "inception_unet", "vgg16_unet")
"""The paper's three, in its order."""

PROTOCOLS = ("resubstitution", "image", "patient")
"""From the most flattering to the honest one; the paper's is ``image``."""


@dataclass(frozen=True)
class Training:
    """One run to be.

    Attributes:
        model: A file of ``conf/model``.
        protocol: A file of ``conf/split``.
        seed: Of weights, order, and of the split where it is drawn.
        overrides: The command line of ``train.py``.
    """

    model: str
    protocol: str
    seed: int
    overrides: tuple[str, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Of the run, and of its folder."""
        return f"{self.model}-{self.protocol}-seed{self.seed}"


@dataclass(frozen=True)
class SizeSettings:
    """``reproduce.sizes.<size>``: how much is trained.

    Attributes:
        seeds: Each trains every model under every protocol, and draws its own split.
        overrides: What is set beside the paper's settings, as on the command line of ``train.py``.
    """

    seeds: list[int] = setting([0])
    overrides: list[str] = setting([])


@dataclass(frozen=True)
class Sizes:
    """``reproduce.sizes``."""

    paper: SizeSettings
    small: SizeSettings


@dataclass(frozen=True)
class ReproduceSettings:
    """``reproduce``: which runs a reproduction consists of."""

    size: str = setting(choices=("paper", "small"))
    sizes: Sizes = setting()
    models: list[str] = setting(list(MODELS))
    protocols: list[str] = setting(list(PROTOCOLS))
    examples: int = setting(3, at_least=1, at_most=12)

    def __post_init__(self) -> None:
        for key, given, allowed in (("models", self.models, MODELS), ("protocols", self.protocols, PROTOCOLS)):
            wrong = [name for name in given if name not in allowed]
            if wrong or not given or len(set(given)) < len(given):
                raise UserError(
                    f"reproduce.{key}=[{', '.join(given)}]: give one or more of {', '.join(allowed)}, each once"
                )
        for name in ("paper", "small"):
            seeds = getattr(self.sizes, name).seeds
            if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
                raise UserError(
                    f"reproduce.sizes.{name}.seeds={seeds}: give one or more whole numbers from 0, each once"
                )

    @property
    def chosen(self) -> SizeSettings:
        """The size's settings."""
        found: SizeSettings = getattr(self.sizes, self.size)
        return found

    def trainings(self, data: str, handed: Sequence[str]) -> tuple[Training, ...]:
        """The runs, one seed after the other, so that a reproduction that is stopped holds whole seeds.

        Args:
            data: Name of the data source.
            handed: Overrides that every run gets, after those of the size.

        Raises:
            UserError: the size does not fit the data.
        """
        if self.size == "small" and data != "phantom":
            raise UserError(
                f"reproduce.size=small with data={data}: the small size is the phantom's; leave reproduce.size out, "
                "or shorten the runs by trainer.max_epochs=…"
            )
        size = self.chosen
        trainings = []
        for seed, model, protocol in product(size.seeds, self.models, self.protocols):
            own = [f"experiment=paper_{model}", f"split={protocol}", f"seed={seed}"]
            own += [] if protocol == "resubstitution" else [f"split.seed={seed}"]
            own.append(f"name={model}-{protocol}-seed{seed}")
            trainings.append(Training(model, protocol, seed, (*own, *size.overrides, *handed)))
        return tuple(trainings)


def composed_training(training: Training) -> tuple[DictConfig, dict[str, Any]]:
    """What ``train.py`` would compose of a run's command line: the configuration, and the chosen file per group."""
    # Hydra is at work already where a command calls this.
    begun = GlobalHydra.instance().is_initialized()
    with nullcontext() if begun else initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("train", overrides=list(training.overrides), return_hydra_config=True)
    with open_dict(cfg):
        hydra = cfg.pop("hydra")
    return cfg, hydra.runtime.choices
