"""From effects to a decision in words."""

import numpy as np
import polars as pl
import pytest

from serving.experiments.analysis import analyze
from serving.experiments.guardrails import Guardrail, State
from serving.experiments.metrics import column_metric
from serving.experiments.unit_table import check_units
from serving.experiments.verdict import decide


def outcomes(metric, *rates, units=1000):
    """Exact shares: of every 1000 units so many."""
    return pl.Series(metric, np.concatenate([np.arange(units) < rate * units for rate in rates]).astype(int))


def table(*columns, arms=("none", "mail"), units=1000):
    variant = np.repeat(arms, units)
    frame = pl.DataFrame({"unit": [str(i) for i in range(len(variant))], "variant": variant}).with_columns(*columns)
    return check_units(frame, "t.csv", unit="unit", variant="variant", variants=arms, control=None)


def decided(units, names, **settings):
    return decide(analyze(units, [column_metric(units, name) for name in names], **settings))


def test_better():
    found = decided(table(outcomes("visit", 0.10, 0.20)), ["visit"])
    assert (found.decision, found.headline) == ("ship", "Ship mail: visit is 100.0% higher than with none.")
    assert found.sentences[0] == "Units are split as planned (sample ratio check: p = 1)."
    assert (
        found.sentences[1].endswith("significantly better, p = 3.9e-10.")
        or "significantly better" in found.sentences[1]
    )


def test_less_can_be_better():
    found = decided(table(outcomes("returns", 0.20, 0.10)), ["returns"], lower_is_better=["returns"])
    assert found.headline == "Ship mail: returns is 50.0% lower than with none."
    assert decided(table(outcomes("returns", 0.20, 0.10)), ["returns"]).decision == "keep"


def test_nothing_shown():
    found = decided(table(outcomes("visit", 0.10, 0.11)), ["visit"])
    assert found.decision == "undecided"
    # 2.8016 standard errors sqrt((.1 · .9 + .11 · .89) / 999) = 0.013715 are 0.03842, of 0.1
    assert found.headline.endswith("A change of 38.4% would have been found four times in five.")


def test_nothing_shown_by_the_test_that_was_made():
    columns = [outcomes("visit", 0.10, 0.11), outcomes("order", 0.10, 0.11)]
    # two tests at alpha 0.05 are 2.5 % each, two-sided: 2.2414 + 0.8416 of the errors above, 0.042284
    two = decided(table(*columns), ["visit", "order"])
    assert two.headline.endswith("A change of 42.3% would have been found four times in five.")
    # looked at as often as one likes, at the planned end: 3.0352 + 0.8416, 0.053170
    looked = decided(table(*columns), ["visit"], planned_units=2000)
    assert looked.headline.endswith("A change of 53.2% would have been found four times in five.")
    # before a hundred units of each arm no change would
    early = decided(table(outcomes("visit", 0.1, 0.2, units=50), units=50), ["visit"], planned_units=100)
    assert early.headline.endswith("Nothing is known of what it could have shown.")


def test_of_two_the_better_one():
    found = decided(table(outcomes("visit", 0.1, 0.2, 0.3), arms=("none", "a", "b")), ["visit"])
    assert found.headline == "Ship b: visit is 200.0% higher than with none. a is also better than none, by less."


def test_several_tests_are_corrected():
    # 0.100 against 0.130: p = 0.0355 on its own; of two such tests Holm makes 0.071
    two = table(outcomes("visit", 0.10, 0.13, 0.13), arms=("none", "a", "b"))
    assert decided(two, ["visit"], correction="none").decision == "ship"
    assert decided(two, ["visit"]).decision == "undecided"


def test_a_guardrail_that_holds_one_that_is_broken_and_one_that_is_open():
    guarded = table(outcomes("visit", 0.1, 0.2), outcomes("kept", 0.9, 0.9), outcomes("returns", 0.1, 0.2))
    margins = {"kept": -0.1, "returns": 0.05}
    found = {}
    for name, margin in margins.items():
        analysis = analyze(
            guarded, [column_metric(guarded, one) for one in ("visit", name)], guardrails=[Guardrail(name, margin)]
        )
        found[name] = decide(analysis)
        assert analysis.comparisons[1].adjusted_p is None
    assert found["kept"].decision == "ship"
    assert found["returns"].headline == (
        "No variant can be shipped yet: mail is better on visit, but guardrail returns is broken."
    )
    # 0.9 ± 0.026 lies within ±5 % but not within ±1 %
    close = analyze(
        guarded, [column_metric(guarded, one) for one in ("visit", "kept")], guardrails=[Guardrail("kept", -0.01)]
    )
    assert close.comparisons[1].state is State.OPEN
    assert "not yet shown to hold" in decide(close).headline


def test_a_second_metric_that_gets_worse():
    found = decided(table(outcomes("visit", 0.1, 0.2), outcomes("bought", 0.2, 0.1)), ["visit", "bought"])
    assert found.headline == "No variant can be shipped yet: mail is better on visit, but worse on bought."


def test_a_mismatch_outweighs_everything():
    units = table(outcomes("visit", 0.1, 0.2))
    found = decided(units, ["visit"], shares=[0.4, 0.6])
    assert found.decision == "distrust"
    assert "variant none has 1,000 units where 800 were expected" in found.headline


@pytest.mark.parametrize("rates", [(0.0, 0.0), (1.0, 1.0)])
def test_nothing_varies(rates):
    assert decided(table(outcomes("visit", *rates)), ["visit"]).decision == "undecided"
