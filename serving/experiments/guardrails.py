"""Guardrails: metrics that need not get better, but must not get worse by more than a margin.

"No significant harm" is no proof of no harm: a small experiment never finds any. So the margin must be excluded: a
guardrail holds if the whole interval of the lift is on the good side of the margin (non-inferiority), is broken if the
whole interval is on the bad side, and is open otherwise.

Reference: Schuirmann, 1987; Schultzberg, Ankargren and Frånberg, "Risk-aware product decisions in A/B tests with
multiple metrics", 2024 (guardrails need no correction for their number, since all of them must hold).
"""

from dataclasses import dataclass
from enum import StrEnum

from data_pipelines.schema import InputError
from serving.experiments.effects import Effect


class State(StrEnum):
    """What is known of a guardrail."""

    HOLDS = "holds"
    BROKEN = "broken"
    OPEN = "open"


@dataclass(frozen=True)
class Guardrail:
    """A metric and how much worse it may get.

    Args:
        metric: its name.
        margin: a lift, −0.02 if it may fall by 2 %, 0.02 if it may rise by 2 %.
    """

    metric: str
    margin: float

    def state(self, effect: Effect) -> State:
        """What an effect says of it."""
        if effect.lift_bounds is None:
            return State.OPEN
        low, high = effect.lift_bounds
        if self.margin > 0:  # mirrored: what must not rise must not fall when its sign is changed
            low, high = -high, -low
        margin = -abs(self.margin)
        return State.HOLDS if low > margin else State.BROKEN if high < margin else State.OPEN


def parse_guardrail(word: str) -> Guardrail:
    """Read `METRIC=MARGIN`, e.g. `spend=-0.02`.

    Raises:
        InputError: if it is not of that form.
    """
    name, _, text = word.rpartition("=")
    try:
        margin = float(text)
    except ValueError:
        margin = 0.0
    if not name or not 0 < abs(margin) < 1:
        raise InputError(
            f"--guardrail {word!r}: write METRIC=MARGIN, e.g. spend=-0.02 (it may fall by 2%) or returns=0.05 (it may "
            "rise by 5%)"
        )
    return Guardrail(name, margin)
