from __future__ import annotations

import numpy as np
import pytest

from lss_lightning.reporting.scale import ParameterScale


def test_scale_of_powers_of_ten_is_logarithmic():
    rates = ParameterScale("optimizer.lr", [0.1, 0.001, 0.01, 0.1])
    assert rates.is_logarithmic
    assert rates.distinct == [0.001, 0.01, 0.1]
    assert [rates.position(value) for value in rates.distinct] == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize("values", [[2, 4, 10], [0, 0.1, 1000], [-1.0, 100.0]])
def test_scale_of_other_numbers_is_linear(values):
    scale = ParameterScale("x", values)
    assert not scale.is_logarithmic
    low, high = min(values), max(values)
    expected = [(value - low) / (high - low) for value in values]
    assert [scale.position(value) for value in values] == pytest.approx(expected)


def test_scale_of_names_keeps_the_order_of_the_sweep():
    scale = ParameterScale("model", ["b", "a", "b", None, True])
    assert not scale.is_numeric
    assert [text for _, text in scale.make_ticks()] == ["b", "a", "null", "true"]
    assert [scale.position(value) for value in ("b", "a", None, True)] == pytest.approx([0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.geomspace(0.00002, 0.02, 20), ["3e-05", "0.0001", "0.0003", "0.001", "0.003", "0.01"]),
        (np.linspace(0.31, 0.88, 20), ["0.4", "0.5", "0.6", "0.7", "0.8"]),
        (range(13, 53), ["20", "30", "40", "50"]),
    ],
)
def test_many_values_have_ticks_at_round_numbers(values, expected):
    scale = ParameterScale("x", [value.item() if isinstance(value, np.generic) else value for value in values])
    ticks = scale.make_ticks()
    assert [text for _, text in ticks] == expected
    assert all(0 <= position <= 1 for position, _ in ticks)


def test_single_value_is_in_the_middle():
    assert ParameterScale("x", [3, 3]).position(3) == 0.5
