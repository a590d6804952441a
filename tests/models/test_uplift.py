"""Uplift learners on worlds whose effects are known."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from data_pipelines.schema import InputError
from models.uplift import ClassTransformation, TwoModel, UpliftLearner, cross_fit
from training.qini import qini

Array = npt.NDArray[np.float64]
LEARNERS = (TwoModel, ClassTransformation)


def counted(rows: list[tuple[int, int, int, int]]) -> tuple[Array, Array, Array]:
    """Rows of (feature, treated, outcome, how often)."""
    table = np.repeat(np.array(rows, dtype=float)[:, :3], [row[3] for row in rows], axis=0)
    return table[:, :1], table[:, 1], table[:, 2]


# feature 0: 3 of 4 buy when contacted, 1 of 4 else: uplift 1/2; feature 1: 1 of 4 and 2 of 4: uplift -1/4
FAIR = [(0, 1, 1, 3), (0, 1, 0, 1), (0, 0, 1, 1), (0, 0, 0, 3), (1, 1, 1, 1), (1, 1, 0, 3), (1, 0, 1, 2), (1, 0, 0, 2)]
# the same rates, but three are contacted for each that is not
UNFAIR = [(x, t, y, n * (3 if t else 1)) for x, t, y, n in FAIR]


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("rows", [FAIR, UNFAIR])
def test_cells_that_can_be_counted(learner: type[UpliftLearner], rows: list[tuple[int, int, int, int]]) -> None:
    # a tree has a leaf for each feature, where probabilities are shares. Class transformation of feature 0, fair: Z = 1
    # for 3 buyers with and 3 others without contact, 6 of 8, so 2 · 6/8 − 1 = 1/2; weights undo the 3 to 1
    features, treated, outcome = counted(rows)
    fitted = learner(DecisionTreeClassifier(random_state=0)).fit(features, treated, outcome)
    assert fitted.predict(np.array([[0.0], [1.0]])) == pytest.approx([0.5, -0.25])


def test_class_transformation_with_a_propensity_that_differs() -> None:
    # two kinds of customers whom the model cannot tell apart: of the first 6 of 8 are contacted, of the second 2 of 8.
    # Contact makes the first buy, who never do otherwise, and changes nothing for the second, who always buy: (1 + 0)/2
    treated = np.array([1] * 6 + [0] * 2 + [1] * 2 + [0] * 6)
    outcome = np.array([1] * 6 + [0] * 2 + [1] * 8)
    propensity = np.array([0.75] * 8 + [0.25] * 8)
    learner = ClassTransformation(DecisionTreeClassifier(), propensity).fit(np.zeros((16, 1)), treated, outcome)
    assert learner.predict(np.zeros((1, 1))) == pytest.approx([0.5])


def test_two_models_with_a_propensity_that_differs() -> None:
    # contacted: all 6 of the first kind buy and 1 of 2 of the second; others: 1 of 2 of the first, 1 of 6 of the
    # second. Half of all customers are of each kind
    treated = np.array([1] * 6 + [0] * 2 + [1] * 2 + [0] * 6)
    outcome = np.array([1] * 6 + [1, 0] + [1, 0] + [1] + [0] * 5)
    propensity = np.array([0.75] * 8 + [0.25] * 8)
    learner = TwoModel(DecisionTreeClassifier(), propensity).fit(np.zeros((16, 1)), treated, outcome)
    assert learner.predict(np.zeros((1, 1))) == pytest.approx([(1 + 1 / 2) / 2 - (1 / 2 + 1 / 6) / 2])


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_simulated_experiment(learner: type[UpliftLearner]) -> None:
    # contact adds 30 points to kinds 0 and 1, takes 10 from kind 2 and does nothing to the other seven
    random = np.random.default_rng(5)
    kind = random.integers(0, 10, 6000)
    effect = np.array([0.3, 0.3, -0.1, 0, 0, 0, 0, 0, 0, 0])[kind]
    treated = random.random(6000) < 0.3
    outcome = random.random(6000) < 0.2 + kind / 50 + effect * treated
    classifier = make_pipeline(OneHotEncoder(), LogisticRegression())  # weights reach a pipeline's last step
    uplift = cross_fit(learner(classifier), kind[:, None], treated, outcome, seed=1)
    by_kind = np.array([uplift[kind == number].mean() for number in range(10)])
    # about 180 contacted and 420 others of each kind: the difference of two shares has a standard error of 0.045
    assert by_kind == pytest.approx([0.3, 0.3, -0.1, 0, 0, 0, 0, 0, 0, 0], abs=3 * 0.045)
    perfect = qini(effect, treated, outcome)
    assert perfect > qini(uplift, treated, outcome) > 0.5 * perfect


def test_cross_fitting_shows_nobody_their_own_outcome() -> None:
    # outcomes are coins: a tree that is shown them knows them by heart, one that is not finds nothing to rank by
    random = np.random.default_rng(0)
    features, treated, outcome = random.random((2000, 3)), random.random(2000) < 0.5, random.random(2000) < 0.5
    learner = ClassTransformation(DecisionTreeClassifier(random_state=0))
    seen = learner.fit(features, treated, outcome).predict(features)
    unseen = cross_fit(learner, features, treated, outcome)
    assert qini(seen, treated, outcome) > 0.1
    assert abs(qini(unseen, treated, outcome)) < 3 * 0.5 / np.sqrt(2000)
    assert (cross_fit(learner, features, treated, outcome) == unseen).all()


@pytest.mark.parametrize(
    ("treated", "outcome", "propensity", "message"),
    [
        ([1, 1, 1, 1], [0, 1, 0, 1], None, "treated: uplift needs"),
        ([1, 0, 1], [0, 1, 0, 1], None, r"treated: has shape \(3,\); give one value for each of the 4"),
        ([1, 0, 1, 0], [0, 2.5, 0, 1], None, "outcome: holds .*2.5.*; only 0 and 1"),
        ([1, 0, 1, 0], [0, 1, 0, 1], 1.0, "propensity: must be above 0"),
        ([1, 0, 1, 0], [0, 1, 0, 1], np.array([0.5, 0.5]), "propensity: .* one per customer"),
        ([1, 0, 1, 0], [1, 0, 1, 1], None, "outcome: is the same for all customers of an arm"),
    ],
)
def test_what_cannot_be_learnt_from(treated: list[int], outcome: list[float], propensity: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TwoModel(LogisticRegression(), propensity).fit(np.zeros((4, 1)), np.array(treated), np.array(outcome))  # type: ignore[arg-type]
