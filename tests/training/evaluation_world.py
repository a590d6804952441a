"""Three users and six items, small enough to know every figure by hand.

Items 2 to 7 are known. What each user did, oldest first, with the time of each basket; the test begins at 30:

    user 2:  10 {2, 3}   20 {2}   | 30 {2, 4}
    user 3:  11 {3}               | 31 {5}      41 {6}
    user 4:  12 {2}      13 {4}   | 32 {3, 4}
"""

import numpy as np

from data_pipelines.features import Feature, FeatureTable
from data_pipelines.splits import Split
from data_pipelines.timelines import Queries, Timelines
from data_pipelines.weekly import WeeklyCovariates

N_ITEMS, N_USERS = 8, 5
TIMELINES = Timelines(
    offsets=np.array([0, 0, 0, 5, 8, 12], np.int64),
    item=np.array([2, 3, 2, 2, 4, 3, 5, 6, 2, 4, 3, 4], np.int32),
    time=np.array([10, 10, 20, 30, 30, 11, 31, 41, 12, 13, 32, 32], np.int64),
    event_type=np.full(12, 2, np.int32),
)
USER, END = np.array([2, 3, 4], np.int32), np.array([3, 6, 10], np.int64)
ASKED = np.array([30, 31, 32], np.int64)
TEST = Queries(USER, END, ASKED, np.array([0, 2, 3, 5], np.int64), np.array([2, 4, 5, 3, 4], np.int32))
EXPLORE = Queries(USER, END, ASKED, np.array([0, 1, 3, 4], np.int64), np.array([4, 5, 6, 3], np.int32))
NOTHING = TEST.take(np.zeros(0, np.int64))
BY_INDEX = np.array([-np.inf, -np.inf, 6, 5, 4, 3, 2, 1], np.float32)  # the same list for everybody: 2, 3, 4, 5, 6, 7


class FixedScores:
    """Scores that depend on the user alone."""

    def __init__(self, scores, name="fixed"):
        self.scores, self.name = np.asarray(scores, np.float32), name

    def fit(self, timelines, items):
        return self

    def score(self, timelines, queries):
        return self.scores[queries.user]


class FixedProbabilities(FixedScores):
    """The same with a score head."""

    def __init__(self, scores, probabilities, name="fixed with head"):
        super().__init__(scores, name)
        self.probabilities = np.asarray(probabilities, np.float32)

    def score_and_probability(self, timelines, queries):
        return self.scores[queries.user], self.probabilities[queries.user]


def same_for_all(name="by index"):
    return FixedScores(np.tile(BY_INDEX, (N_USERS, 1)), name)


def oracle(name="oracle"):
    """Ranks exactly the test targets first."""
    scores = np.tile(BY_INDEX, (N_USERS, 1))
    scores[np.repeat(TEST.user, np.diff(TEST.target_offsets)), TEST.target_item] += 100
    return FixedScores(scores, name)


def split():
    learnt = TIMELINES.before(30)
    region = Feature("region", "categorical", np.array([0, 0, 1, 1, 0], np.int32), ("", "north"))
    users = FeatureTable(np.array(["", "<unknown>", "anna", "ben", "cleo"]), (region,))
    items = FeatureTable(np.array(["", "<unknown>", *"abcdef"]))
    event_types = ("", "<unknown>", "purchase")
    weekly = WeeklyCovariates(4, np.zeros((1, len(items.ids), 0), np.float32))
    return Split(items, users, event_types, TIMELINES, TEST, NOTHING, TEST, EXPLORE, learnt, learnt, weekly, "f00d")
