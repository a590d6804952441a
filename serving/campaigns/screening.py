"""The tests that need no offer: audience, consent, holdout, quiet hours, and what was sent before."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.campaigns.allocation import FloatArray, IntArray
from serving.campaigns.holdout import holdout_point
from serving.campaigns.policy import ANY_CHANNEL, Policy
from serving.campaigns.situation import Reason, Situation


@dataclass(frozen=True)
class Screening:
    """What the tests that need no offer say, `[users, campaigns]` where nothing else is said.

    Args:
        reason: the first that says no; `CHOSEN` where none does.
        holdout: the customer's point, held out below the campaign's share.
        contacts: of the campaign in the flight.
        room: `[users, channels]` contacts that the caps leave.
        slots: `[users]` contacts of all channels that caps and the plan leave.
    """

    reason: npt.NDArray[np.int8]
    holdout: FloatArray
    contacts: IntArray
    room: IntArray
    slots: IntArray


def screen(situation: Situation, policy: Policy) -> Screening:
    """Ask everything that needs no offer."""
    users, campaigns = len(situation.users), situation.campaigns
    most = len(campaigns)
    caps, history = policy.frequency_caps, situation.history
    room = np.zeros((users, len(situation.channels)), np.int64)
    for number, name in enumerate(situation.channels):
        room[:, number] = history.room(name, caps, most)
    slots = np.minimum(history.room(ANY_CHANNEL, caps, most), policy.offers_per_customer)
    point, contacts = np.zeros((users, most)), np.zeros((users, most), np.int64)
    reason = np.zeros((users, most), np.int8)
    for column, (campaign, channel) in enumerate(zip(campaigns, situation.channel, strict=True)):
        begin, end = np.datetime64(campaign.start, "us"), np.datetime64(campaign.end, "us") + np.timedelta64(1, "D")
        point[:, column] = holdout_point(situation.users, policy.salt, campaign.id) if campaign.holdout else 1.0
        contacts[:, column] = history.of_campaign(campaign.id, (begin, end))
        refused = {
            Reason.AUDIENCE: ~situation.audience[:, column],
            Reason.CONSENT: ~situation.consent[:, channel],
            Reason.HOLDOUT: point[:, column] < campaign.holdout,
            Reason.QUIET_HOURS: situation.send_at >= end,
            Reason.CONTACTED: contacts[:, column] >= campaign.contacts_per_customer,
            Reason.FREQUENCY_CAP: np.minimum(room[:, channel], slots) < 1,
        }
        reason[:, column] = np.select(list(refused.values()), [int(key) for key in refused], int(Reason.CHOSEN))
    return Screening(reason, point, contacts, room, slots)
