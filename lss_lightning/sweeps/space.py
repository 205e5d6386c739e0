"""The search space: the settings that a search samples, and the settings that all its trials share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer

from lss_lightning.display import format_setting
from lss_lightning.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class SearchSpace:
    """The sampled and the fixed settings of a search.

    Attributes:
        distributions: The distribution of each sampled setting.
        fixed: The overrides of the settings that all trials share.
    """

    distributions: Mapping[str, BaseDistribution]
    fixed: Mapping[str, str]

    def format_overrides(self, params: Mapping[str, Any]) -> list[str]:
        """Return the overrides of a trial.

        Args:
            params: The sampled values.
        """
        return [f"{key}={format_setting(params[key])}" for key in self.distributions] + list(self.fixed.values())


def parse_search_space(params: Mapping[str, Any], overrides: Sequence[str]) -> SearchSpace:
    """Parse a search space in Hydra's syntax.

    ``choice(…)`` and ``a,b`` are categorical. ``range(start, stop, step)`` has the same values as in a grid, excluding
    ``stop``. ``interval(low, high)`` is continuous, and ``int(interval(low, high))`` contains integers; both include
    their endpoints. ``tag(log, …)`` samples on a logarithmic scale. All other values are fixed.

    Args:
        params: ``hydra.sweeper.params``.
        overrides: The overrides on the command line, which take precedence.

    Raises:
        UserError: If a distribution is invalid, or no setting is sampled.
    """
    distributions: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    texts = [*(f"{key}={value}" for key, value in params.items()), *overrides]
    for override in OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(texts):
        key = override.get_key_element()
        distributions.pop(key, None)
        fixed.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = str(override.input_line)
            continue
        try:
            distributions[key] = _make_distribution(override)
        except ValueError as error:
            raise UserError(f"{override.input_line}: cannot be sampled ({error}); change the values") from error
    if not distributions:
        raise UserError(
            "hydra.sweeper.params: a search needs a setting to sample; give e.g. "
            "'optimizer.lr=tag(log, interval(0.0001, 0.1))'"
        )
    return SearchSpace(distributions, fixed)


def _make_distribution(override: Override) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        is_log = "log" in value.tags
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=is_log)
        return FloatDistribution(value.start, value.end, log=is_log)
    if not override.is_range_sweep() or value.shuffle:
        return CategoricalDistribution([_make_choice(element) for element in override.sweep_iterator()])
    numbers: list[Any] = list(value.range())
    kind: Any = IntDistribution if all(isinstance(number, int) for number in numbers) else FloatDistribution
    return kind(min(numbers), max(numbers), step=abs(value.step))


def _make_choice(element: Any) -> Any:
    """Return a value that Optuna can store: a number, bool or None unchanged, and any other value as a string."""
    return element if element is None or isinstance(element, bool | int | float) else Transformer.str(element)
