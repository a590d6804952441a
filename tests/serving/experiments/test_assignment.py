"""Assignment: the documented hash, balance, independence, and layers that keep experiments apart."""

from itertools import pairwise

import duckdb
import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from serving.experiments.assignment import assign, draw_variant, in_traffic, uniform
from serving.experiments.experiment import Experiment, check_exclusive

UNITS = [str(number) for number in range(100_000)]
HALVES = Experiment("welcome", ("a", "b"), (0.5, 0.5))


def test_the_hash_is_the_one_that_is_documented():
    # printf 'variant::welcome:42' | sha256sum   746dc63cace5e...
    # printf 'slot:mail:42' | sha256sum          16cdc3b8fb5e5...
    # printf 'variant:may:welcome:Zoë' | sha256sum  20dd35f7eb49f...
    assert uniform(("variant", "", "welcome"), ["42"])[0] == 0x746DC63CACE5E / 16**13
    assert uniform(("slot", "mail"), ["42"])[0] == 0x16CDC3B8FB5E5 / 16**13
    assert uniform(("variant", "may", "welcome"), ["Zoë"])[0] == 0x20DD35F7EB49F / 16**13


def test_a_warehouse_finds_the_same_variants():
    units = UNITS[:5000]
    query = """
        WITH draws AS (
            SELECT unnest($units) AS unit,
                   ('0x' || substr(sha256('variant:may:x:' || unit), 1, 13))::BIGINT / 16^13 AS draw
        )
        SELECT unit, CASE WHEN draw < 0.5 THEN 'a' WHEN draw < 0.8 THEN 'b' ELSE 'c' END FROM draws
    """
    found = duckdb.execute(query, {"units": units}).fetchall()
    expected = assign(Experiment("x", ("a", "b", "c"), (0.5, 0.3, 0.2), salt="may"), units)
    assert dict(found) == dict(expected.select("unit", "variant").iter_rows())


def test_a_variant_by_hand():
    # the draws are 0.4548 (above) and 0.1284: with shares .4, .3, .3 the second variant and the first
    three = Experiment("welcome", ("a", "b", "c"), (0.4, 0.3, 0.3))
    assert assign(three, ["42"])["variant"].to_list() == ["b"]
    assert assign(three, ["42"])["propensity"].to_list() == [0.3]
    spring = Experiment("welcome", ("a", "b", "c"), (0.4, 0.3, 0.3), salt="may")
    assert assign(spring, ["Zoë"])["variant"].to_list() == ["a"]


def test_it_depends_on_nothing_but_salt_experiment_and_unit():
    table = assign(HALVES, UNITS[:1000])
    turned = assign(HALVES, UNITS[999::-1])
    assert table.sort("unit").equals(turned.sort("unit"))
    assert assign(HALVES, []).columns == ["unit", "experiment", "variant", "propensity"]


def test_variants_get_their_shares():
    shares = (0.5, 0.3, 0.2)
    counts = np.bincount(draw_variant(Experiment("x", ("a", "b", "c"), shares), UNITS))
    assert stats.chisquare(counts, np.array(shares) * len(UNITS)).pvalue > 0.001


@pytest.mark.parametrize("prefix", [("slot", "mail"), ("variant", "", "x"), ("variant", "salt", "x")])
def test_the_hash_is_uniform(prefix):
    counts = np.bincount((uniform(prefix, UNITS) * 1000).astype(int), minlength=1000)
    assert stats.chisquare(counts).pvalue > 0.001


def test_experiments_salts_and_layers_are_independent():
    draws = [
        draw_variant(one, UNITS)
        for one in (
            HALVES,
            Experiment("other", ("a", "b"), (0.5, 0.5)),
            Experiment("welcome", ("a", "b"), (0.5, 0.5), "s"),
        )
    ]
    half = in_traffic(Experiment("third", ("a", "b"), (0.5, 0.5), traffic=0.5), UNITS)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert stats.chi2_contingency(np.histogram2d(draws[one], draws[other], 2)[0]).pvalue > 0.001
    assert stats.chi2_contingency(np.histogram2d(half, draws[0], 2)[0]).pvalue > 0.001


def test_more_traffic_keeps_who_is_in():
    few, more = (Experiment("x", ("a", "b"), (0.5, 0.5), traffic=traffic) for traffic in (0.1, 0.3))
    was, now = assign(few, UNITS[:5000]), assign(more, UNITS[:5000])
    assert was.join(now, on=["unit", "variant"]).height == was.height < now.height


@given(cuts=st.lists(st.integers(1, 99), min_size=1, max_size=6, unique=True), layer=st.text("abc", min_size=1))
def test_no_unit_is_in_two_exclusive_experiments_and_together_they_have_all(cuts, layer):
    edges = [0, *sorted(cuts), 100]
    experiments = [
        Experiment(f"e{i}", ("a", "b"), (0.5, 0.5), layer=layer, traffic_from=low / 100, traffic=high / 100 - low / 100)
        for i, (low, high) in enumerate(pairwise(edges))
    ]
    check_exclusive(experiments)
    npt.assert_array_equal(sum(in_traffic(one, UNITS[:500]).astype(int) for one in experiments), 1)
