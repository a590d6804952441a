"""Models of who answers, and RFM scores, on customers whose answer is plain."""

import numpy as np
import pytest

from data_pipelines.schema import InputError
from models.recency_frequency_monetary import quintile, rfm_score
from models.response import BoostedResponse, LogisticResponse, ResponseModel, blend

MODELS = [BoostedResponse(seeds=(0, 1)), LogisticResponse()]


@pytest.mark.parametrize("model", MODELS, ids=["boosted", "logistic"])
def test_those_who_answer_come_first(model: ResponseModel) -> None:
    # the first feature decides, the second is noise, the third is never known
    random = np.random.default_rng(0)
    features = np.column_stack([random.random(600), random.random(600), np.full(600, np.nan)])
    features[::7, 1] = np.nan
    answered = features[:, 0] > 0.9
    probability = model.fit(features, answered).predict(features)
    assert probability[answered].min() > probability[features[:, 0] < 0.8].max()
    assert (model.fit(features, answered).predict(features) == probability).all()
    assert model.predict(features[5:6])[0] == pytest.approx(probability[5])


def test_seeds_are_averaged() -> None:
    random = np.random.default_rng(0)
    features, answered = random.random((300, 4)), random.random(300) < 0.3
    model = BoostedResponse(trees=20, seeds=(3, 4)).fit(features, answered)
    members = model.predict_members(features)
    assert members.shape == (2, 300)
    assert (members[0] != members[1]).any()
    assert model.predict(features) == pytest.approx(members.mean(axis=0))
    assert model.importance().sum() == pytest.approx(1)


def test_the_blend_is_the_mean_of_the_logits() -> None:
    # logits of 1/2 and 9/10 are 0 and log 9; half of it is log 3: 3 of 4
    assert blend([np.array([0.5, 0.5]), np.array([0.9, 0.5])]) == pytest.approx([0.75, 0.5])
    assert np.isfinite(blend([np.array([0.0]), np.array([1.0])])).all()


@pytest.mark.parametrize("model", MODELS, ids=["boosted", "logistic"])
def test_answers_that_teach_nothing(model: ResponseModel) -> None:
    with pytest.raises(InputError, match="outcomes: all past customers answered alike"):
        model.fit(np.zeros((5, 1)), np.zeros(5, dtype=bool))


def test_quintiles() -> None:
    assert quintile(np.arange(10.0)).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert quintile(np.zeros(7)).tolist() == [3] * 7  # equal customers are in the middle together


def test_rfm_by_hand() -> None:
    # five customers, one per fifth. The last bought today (5), most often (5), for most (5): 15; the first long ago
    # (1), seldom (1), but for the second most (4): 6. Spend breaks ties: ranks / 6
    score = rfm_score(
        recency_days=np.array([90.0, 40, 30, 20, 0]),
        frequency=np.array([1.0, 2, 3, 4, 9]),
        monetary=np.array([50.0, 1, 2, 3, 99]),
    )
    assert score == pytest.approx([6 + 4 / 6, 5 + 1 / 6, 8 + 2 / 6, 11 + 3 / 6, 15 + 5 / 6])
