"""Classes of demand from their two numbers, by hand."""

import numpy as np
import numpy.testing as npt

from models.forecasting.demand_class import DemandClass, classify

NONE = np.nan


def test_each_class_by_hand() -> None:
    demand = np.array(
        [
            [4, 6, 4, 6, 4, 6],  # sold always, mean 5, deviation 1: CV² = 1/25
            [1, 9, 1, 1, 9, 0],  # ADI 6/5 = 1.2; mean 4.2, variance (3 * 3.2² + 2 * 4.8²) / 5 = 15.36: CV² = .8707
            [5, 0, 5, 0, 0, 0],  # ADI 6/2 = 3, CV² = 0
            [1, 0, 9, 0, 0, 0],  # ADI 3; mean 5, deviation 4: CV² = 16/25
        ],
        np.float32,
    )
    classes = classify(demand)
    npt.assert_allclose(classes.interval, [1, 1.2, 3, 3])
    npt.assert_allclose(classes.variation, [0.04, 0.8707483, 0, 0.64], rtol=1e-6)
    assert classes.label.tolist() == [
        DemandClass.SMOOTH,
        DemandClass.ERRATIC,
        DemandClass.INTERMITTENT,
        DemandClass.LUMPY,
    ]


def test_what_was_not_observed_does_not_count() -> None:
    classes = classify(np.array([[NONE, NONE, 5, 5, NONE, 0], [NONE, 0, 0, 0, 0, 0], [NONE] * 6], np.float32))
    npt.assert_array_equal(classes.interval, [1.5, np.inf, np.inf])
    assert classes.label.tolist() == [DemandClass.INTERMITTENT] * 3
