"""Thompson sampling: variants get units as often as they are likely to be the best one.

    rate_v ~ Beta(prior successes + successes_v, prior failures + failures_v)
    share_v = P(rate_v is the highest) = ∫ f_v(x) Π_{w≠v} F_w(x) dx

It costs less than a fixed split while it learns, because bad variants soon get few units, and answers "which one"
sooner than "by how much". Outcomes of such an experiment must be weighted by propensity, so every assignment carries
its own, and no share falls to nothing.

Reference: Thompson, 1933; Chapelle and Li, "An empirical evaluation of Thompson sampling", NIPS 2011; Zhang, Janson and
Murphy, "Inference for batched bandits", 2020 (why a floor is needed).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from data_pipelines.schema import InputError

FloatArray = npt.NDArray[np.float64]
POINTS = 1001
"""Of the integral, at the quantiles of each rate."""


@dataclass(frozen=True)
class BetaBernoulli:
    """What is known of the variants' rates.

    Args:
        successes: `[k]` seen, and those of the prior.
        failures: `[k]` seen, and those of the prior.
    """

    successes: FloatArray
    failures: FloatArray

    def __post_init__(self) -> None:
        """Refuse what is no Beta distribution."""
        if not (np.all(self.successes > 0) and np.all(self.failures > 0)):
            raise InputError("Thompson sampling: successes and failures with their prior must be more than 0")

    def best_probability(self) -> FloatArray:
        """Probability of each variant to have the highest rate, `[k]`; adds up to 1."""
        # Substituting the variant's own quantile turns the integral into a mean over (0, 1).
        level = (np.arange(POINTS) + 0.5) / POINTS
        x = stats.beta.ppf(level[:, None], self.successes, self.failures)  # [points, k]
        below = stats.beta.cdf(x[:, :, None], self.successes, self.failures)  # [points, k, k]
        itself = np.arange(len(self.successes))
        below[:, itself, itself] = 1.0
        share = below.prod(axis=2).mean(axis=0)
        return np.asarray(share / share.sum())

    def slot_probability(self, slots: int, draws: int, seed: int) -> FloatArray:
        """Probability of each variant to be drawn into each of several slots, the highest draw first.

        Args:
            slots: places that are filled with different variants at once.
            draws: simulated decisions.
            seed: of the draws.

        Returns:
            `[k, slots]`; every column adds up to 1.
        """
        random = np.random.default_rng(seed)
        counts = np.zeros((len(self.successes), slots))
        step = 20_000
        for first in range(0, draws, step):
            size = (min(step, draws - first), len(self.successes))
            best = np.argsort(-random.beta(self.successes, self.failures, size), axis=1)[:, :slots]
            for slot in range(slots):
                counts[:, slot] += np.bincount(best[:, slot], minlength=size[1])
        return counts / draws


def shares(known: BetaBernoulli, minimum: float) -> FloatArray:
    """Shares of the next units, `[k]`.

    Args:
        known: what was seen.
        minimum: that every variant gets, at most 1 / k.
    """
    return np.asarray(minimum + (1 - minimum * len(known.successes)) * known.best_probability())
