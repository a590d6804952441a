"""MinT on a total of two items, where the answer is known by hand."""

import sys

import numpy as np
import numpy.testing as npt
import pytest

from data_pipelines.panel import Category, Panel
from data_pipelines.schema import InputError
from models.forecasting.forecaster import LEVELS, proper
from training.forecast_metrics import hierarchy
from training.reconciliation import errors, reconcile, require_library, sums_panel

STATIC = np.array([[1], [1], [2]], np.int32)
PANEL = Panel(
    np.array(["a", "b", "c"]),
    first_day=100,
    demand=np.array([[1, 2, np.nan], [3, 4, np.nan], [5, 6, 7]], np.float32),
    static=STATIC,
    statics=(Category("kind", ("", "x", "y")),),
)


def forecast(*means):
    mean = np.array(means, np.float32)[:, None]
    return proper(mean, np.repeat(mean[..., None], len(LEVELS), axis=2) * np.linspace(0.5, 2.0, len(LEVELS)))


def test_sums_are_series_of_their_own():
    levels = hierarchy(PANEL, ("total", "kind", "item"))
    sums = sums_panel(PANEL, levels)
    # the total, then the two kinds; a day on which no item of a kind was observed is none of its own
    npt.assert_array_equal(sums.demand, [[9, 12, 7], [4, 6, np.nan], [5, 6, 7]])
    assert (sums.first_day, sums.step_days, len(sums.ids)) == (100, 1, 3)


def test_errors_of_sums_come_before_those_of_items():
    levels = hierarchy(PANEL, ("total", "item"))
    answer = errors(np.array([[1.0], [2.0], [np.nan]]), np.array([[1.0], [1.0], [1.0]]), np.array([[5.0]]), levels)
    npt.assert_array_equal(answer, [[-2], [0], [1], [np.nan]])


def test_the_gap_is_shared_by_error_variance():
    # Items 2, 4 and 4 add up to 10, their total is forecast as 16. Least squares weighted by 1 / variance: with
    # variances 1 (each item) and v (total), every item gets gap / (3 + v). v = 3: 6 / 6 = 1 each.
    levels = hierarchy(PANEL, ("total", "item"))
    past = np.array([[np.sqrt(3.0), -np.sqrt(3.0)], [1, -1], [1, -1], [1, -1]])
    answer = reconcile(forecast(2, 4, 4), np.array([[16.0]]), levels, past)
    npt.assert_allclose(answer.mean[:, 0], [3, 5, 5], rtol=1e-5)
    # quantiles keep their place around the mean
    npt.assert_allclose(answer.quantiles[0, 0] / 3, forecast(2).quantiles[0, 0] / 2, rtol=1e-5)


def test_the_item_that_errs_most_gives_way():
    levels = hierarchy(PANEL, ("total", "item"))
    past = np.array([[1e-3, -1e-3], [1, -1], [3, -3], [0, 0]])  # never wrong: hardly moved
    answer = reconcile(forecast(2, 4, 4), np.array([[20.0]]), levels, past)
    npt.assert_allclose(answer.mean[:, 0], [3, 13, 4], atol=0.02)  # 10 units, shared 1 to 9
    assert answer.mean.sum() == pytest.approx(20.0, abs=0.02)


def test_nothing_becomes_negative():
    levels = hierarchy(PANEL, ("total", "item"))
    past = np.array([[1e-3], [1], [1], [1]])
    answer = reconcile(forecast(0.5, 4, 4), np.array([[1.0]]), levels, past)
    assert answer.mean.min() == 0.0
    assert answer.quantiles.min() >= 0.0


def test_without_the_library_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "hierarchicalforecast", None)
    monkeypatch.setitem(sys.modules, "hierarchicalforecast.methods", None)
    with pytest.raises(InputError, match=r'pip install "supplytower\[hierarchy\]"'):
        require_library()
