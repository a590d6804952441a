"""Target the later campaigns with what the earlier ones taught, and see whether those come first who answered.

For every campaign, in the order of their beginnings, models learn from the campaigns that began before it: features as
of *their* beginnings, answers as far as they had come in when this one begins. Its own answers are used for measuring
only. Everybody whom the shop addressed is ranked; who was not addressed could not answer, so nothing is said of them.

The last campaigns are the test. Which model is taken is chosen on the earlier ones, by the answers that had come in
when the first of the test began.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.progress import Progress

from data_pipelines.campaign_features import (
    COUPON_LINES,
    FREQUENCY,
    MONETARY,
    PAST_ANSWERS,
    PAST_OUTCOMES,
    RECENCY,
    campaign_features,
)
from data_pipelines.campaign_history import CampaignHistory
from data_pipelines.schema import CAMPAIGN_ID, STARTS_AT, TIMESTAMP, USER_ID, InputError
from models.recency_frequency_monetary import rfm_score
from models.response import BoostedResponse, LogisticResponse, blend
from training.campaign_metrics import mean_auc
from training.campaign_simulation_config import SimulationConfig

FloatArray = npt.NDArray[np.float64]
RANDOM, POPULARITY, SPENDERS, RFM, RFM_FITTED, COUPON_USERS, PAST = (
    "random",
    "most frequent buyers",
    "biggest spenders",
    "RFM",
    "RFM, fitted",
    "coupon users",
    "past answers",
)
LOGISTIC, BOOSTED, BLEND = "logistic", "LightGBM", "blend"
MODELS = (BLEND, BOOSTED, LOGISTIC)
BASELINES = (PAST, COUPON_USERS, RFM_FITTED, RFM, SPENDERS, POPULARITY, RANDOM)


@dataclass(frozen=True)
class Targeted:
    """One campaign, ranked.

    Args:
        campaign: its id.
        starts_at: when it began.
        users: `[n]` ids of those addressed.
        answered: `[n]` whether they answered, ever.
        answers: `[n]` how often.
        scores: method to `[n]`.
        members: `[seeds, n]` LightGBM's seeds by themselves.
        test: whether it is one of the last, on which nothing was chosen.
    """

    campaign: str
    starts_at: datetime
    users: list[str]
    answered: npt.NDArray[np.bool_]
    answers: npt.NDArray[np.int64]
    scores: Mapping[str, FloatArray]
    members: FloatArray
    test: bool


@dataclass(frozen=True)
class Simulation:
    """All campaigns ranked, and what the models looked at.

    Args:
        earlier: campaigns on which the model was chosen.
        test: the last campaigns.
        chosen: of `MODELS`, the one with the highest area under the curve on the earlier campaigns.
        importance: feature to its share of the trees' gain in the last campaign, the largest first.
    """

    earlier: Sequence[Targeted]
    test: Sequence[Targeted]
    chosen: str
    importance: Mapping[str, float]


@dataclass(frozen=True)
class _Campaign:
    """Features and answers of one campaign."""

    id: str
    starts_at: datetime
    users: list[str]
    names: list[str]
    features: FloatArray
    answers: npt.NDArray[np.int64]
    first_answer: npt.NDArray[np.datetime64]

    def column(self, name: str) -> FloatArray:
        return self.features[:, self.names.index(name)]


def simulate(history: CampaignHistory, config: SimulationConfig, bar: Progress) -> Simulation:
    """Rank the addressed users of every campaign before which there was something to learn.

    Args:
        history: all campaigns.
        config: settings.
        bar: shows progress.

    Raises:
        InputError: if too few campaigns have a past to learn from.
    """
    n_test = max(round(config.test_share * history.campaigns.height), 1)
    test = set(history.campaigns[CAMPAIGN_ID].tail(n_test))
    campaigns = [
        _observe(history, campaign, config.recent_days)
        for campaign in bar.track(_with_past(history, config), description="looking back")
    ]
    targeted, boosted = [], None
    for place, campaign in enumerate(bar.track(campaigns, description="targeting")):
        before = [one for one in campaigns[:place] if one.starts_at < campaign.starts_at]
        known = [_known(one, campaign.starts_at) for one in before]
        if sum(int(answers.sum()) for answers in known) < config.min_answers:
            continue
        one, boosted = _target(campaign, before, known, config, test=campaign.id in test)
        targeted.append(one)
    earlier, last = [one for one in targeted if not one.test], [one for one in targeted if one.test]
    if boosted is None or not earlier or not last:
        raise InputError(
            f"{len(earlier)} earlier and {len(last)} later campaigns have {config.min_answers} answers before them; "
            "both are needed: lower min_answers or test_share, or add campaigns"
        )
    order = np.argsort(-boosted.importance(), kind="stable")
    importance = {campaigns[-1].names[place]: float(boosted.importance()[place]) for place in order}
    observed = {one.id: one for one in campaigns}
    known = [_known(observed[one.campaign], last[0].starts_at) for one in earlier]
    return Simulation(earlier, last, choose(earlier, known), importance)


def choose(earlier: Sequence[Targeted], answered: Sequence[npt.NDArray[np.bool_]]) -> str:
    """The model with the highest area under the curve.

    Args:
        earlier: campaigns.
        answered: `[n]` of each, who had answered it when the first campaign of the test began.
    """
    return max(MODELS, key=lambda name: mean_auc([one.scores[name] for one in earlier], answered))


def _with_past(history: CampaignHistory, config: SimulationConfig) -> list[str]:
    """Campaigns that reached somebody after the log had run for some time."""
    first = history.purchases[TIMESTAMP].min()
    if not isinstance(first, datetime):
        raise InputError("events: hold no purchase, so nothing is known of anybody before a campaign")
    late = history.campaigns.filter(pl.col(STARTS_AT) >= first + timedelta(days=config.min_history_days))
    return late.join(history.exposures, on=CAMPAIGN_ID, how="semi")[CAMPAIGN_ID].to_list()


def _observe(history: CampaignHistory, campaign: str, recent_days: int) -> _Campaign:
    table = campaign_features(history, campaign, recent_days)
    answers = (
        history.outcomes.filter(pl.col(CAMPAIGN_ID) == campaign)
        .group_by(USER_ID)
        .agg(pl.len().alias("answers"), pl.col(TIMESTAMP).min().alias("first"))
    )
    both = table.select(USER_ID).join(answers, on=USER_ID, how="left", maintain_order="left")
    names = [name for name in table.columns if name != USER_ID]
    starts_at = history.campaigns.row(by_predicate=pl.col(CAMPAIGN_ID) == campaign, named=True)[STARTS_AT]
    return _Campaign(
        campaign,
        starts_at,
        table[USER_ID].to_list(),
        names,
        table.select(names).to_numpy().astype(np.float64),
        both["answers"].fill_null(0).to_numpy().astype(np.int64),
        both["first"].to_numpy(),
    )


def _known(campaign: _Campaign, moment: datetime) -> npt.NDArray[np.bool_]:
    """Who had answered a campaign when `moment` came; a comparison with NaT, no answer, is false."""
    return campaign.first_answer < np.datetime64(moment)


def _target(
    campaign: _Campaign,
    before: Sequence[_Campaign],
    known: Sequence[npt.NDArray[np.bool_]],
    config: SimulationConfig,
    *,
    test: bool,
) -> tuple[Targeted, BoostedResponse]:
    features = np.concatenate([one.features for one in before])
    answered = np.concatenate(known)
    seeds = tuple(range(config.seed, config.seed + config.seeds))
    boosted = BoostedResponse(config.trees, config.learning_rate, config.leaves, seeds).fit(features, answered)
    members = boosted.predict_members(campaign.features)
    logistic = LogisticResponse(config.inverse_penalty).fit(features, answered).predict(campaign.features)
    rfm = [campaign.names.index(name) for name in (RECENCY, FREQUENCY, MONETARY)]
    fitted = LogisticResponse(1.0).fit(features[:, rfm], answered).predict(campaign.features[:, rfm])
    scores = {
        BLEND: blend([members.mean(axis=0), logistic]),
        BOOSTED: members.mean(axis=0),
        LOGISTIC: logistic,
        PAST: campaign.column(PAST_OUTCOMES) + campaign.column(PAST_ANSWERS) / 1000,
        COUPON_USERS: campaign.column(COUPON_LINES),
        RFM_FITTED: fitted,
        RFM: rfm_score(*(campaign.features[:, place] for place in rfm)),
        SPENDERS: campaign.column(MONETARY),
        POPULARITY: campaign.column(FREQUENCY),
        RANDOM: np.zeros(len(campaign.users)),
    }
    ranked = Targeted(
        campaign.id, campaign.starts_at, campaign.users, campaign.answers > 0, campaign.answers, scores, members, test
    )
    return ranked, boosted
