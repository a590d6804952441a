"""`supplytower experiment design | assign | analyze`, from files to files."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from supplytower import main
from tests.serving.experiments.test_experiment import FILE

THOMPSON = "id: shop\nallocation: thompson\nvariants: {a: 0.5, b: 0.5}\n"


@pytest.fixture
def world(tmp_path, monkeypatch):
    """400 units; whoever was mailed visits in 60 of 200 cases, the others in 20."""
    monkeypatch.chdir(tmp_path)
    number = np.arange(200)
    frame = pl.DataFrame(
        {
            "unit": [f"u{i}" for i in range(400)],
            "variant": np.repeat(["none", "mail"], 200),
            "visit": np.concatenate([number < 20, number < 60]),
            "spend": np.concatenate([(number < 20) * 10.0, (number < 60) * 10.0]),
            "clicks": np.concatenate([number % 3, number % 4]),
            "views": np.full(400, 5),
            "before": np.tile(number % 7, 2),
            "price": np.repeat([0.0, 0.5], 200),
        }
    )
    frame.write_csv("outcomes.csv")
    (tmp_path / "experiments.yaml").write_text(FILE)
    (tmp_path / "thompson.yaml").write_text(THOMPSON)
    pl.DataFrame({"user_id": [str(i) for i in range(2000)]}).write_csv("users.csv")
    return frame


def answer(capsys, *words):
    assert main(["experiment", "analyze", "--table", "outcomes.csv", "--control", "none", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def run(words: str) -> int:
    return main(["experiment", *words.split()])


def refusal(capsys, words: str) -> str:
    assert run(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_design(capsys):
    assert run("design --baseline 0.25 --effect 0.15 --daily-units 30 --json") == 0
    found = json.loads(capsys.readouterr().out)
    # Fleiss, Levin and Paik: 152 each; 304 by 30 a day are 11 days
    assert (found["units"], found["days"], found["lift"]) == ([152, 152], 11, pytest.approx(0.6))
    assert found["detectable_after_weeks"]["1"] > found["detectable_after_weeks"]["8"]
    assert run("design --baseline 0.25 --units 304") == 0
    assert "To find a change of 0.25 by +0.1499" in capsys.readouterr().out
    assert run("design --baseline 0.25 --lift 0.6 --daily-units 30 --shares 0.5,0.25,0.25") == 0
    printed = capsys.readouterr().out
    assert "at alpha 0.025" in printed
    assert "Run it for whole weeks" in printed
    assert run("design --baseline 0.9 --units 20") == 0
    assert "So few units find no change" in capsys.readouterr().out


def test_a_design_for_peeking_has_units_to_look_at(capsys):
    # 33 units of each would do, but nothing is concluded before 100; a tenth of the units is 100 of 1000
    assert run("design --baseline 0 --deviation 1 --effect 1 --sequential --json") == 0
    assert json.loads(capsys.readouterr().out)["units"] == [100, 100]
    assert run("design --baseline 0 --deviation 1 --effect 2 --sequential --shares 0.9,0.1 --json") == 0
    assert json.loads(capsys.readouterr().out)["units"] == [900, 100]


def test_a_design_for_several_metrics(capsys):
    assert run("design --baseline 0.1 --lift 0.1 --metrics 3 --shares 0.4,0.3,0.3 --json") == 0
    assert json.loads(capsys.readouterr().out)["alpha_per_test"] == pytest.approx(0.05 / 6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--baseline 0.1 --units 199 --sequential", "--units 199: give every variant at least 100"),
        ("--baseline nan --deviation 1 --effect 1", "baseline nan: must be a number"),
        ("--baseline 0.1 --lift 0.1 --daily-units inf", "--daily-units inf: must be more than 0"),
        ("--baseline 0.1 --lift 0.1 --metrics 0", "--metrics 0: must be at least 1"),
        ("--baseline 0.1", "one of the arguments --lift --effect --units is required"),
        ("--baseline 0.1 --lift 0.1 --shares 0.5,0.4", "--shares 0.5,0.4: add up to 0.9"),
        ("--baseline 0.1 --lift 0.1 --shares 1", "give two or more numbers above 0"),
        ("--baseline 0.1 --lift 0.1 --daily-units 0", "--daily-units 0: must be more than 0"),
        ("--baseline 0 --deviation 1 --lift 0.1", "--lift of a baseline of 0 is 0"),
        ("--baseline 0.1 --units 2", "--units 2: give every variant at least 2"),
        ("--baseline 2 --lift 0.1", "baseline 2: a rate lies between 0 and 1"),
    ],
)
def test_impossible_designs(words, said, capsys):
    assert said in refusal(capsys, f"design {words}")


def test_assign(world, capsys):
    words = "assign --experiments experiments.yaml --units users.csv --out"
    assert run(f"{words} a.parquet") == 0
    assert run(f"{words} b.csv") == 0
    table = pl.read_parquet("a.parquet")
    assert table.equals(pl.read_csv("b.csv", schema_overrides={"unit": pl.String}))
    # the two experiments have the whole layer, and share nobody
    assert table["unit"].n_unique() == table.height == 2000
    assert set(table.filter(experiment="welcome")["variant"]) == {"none", "discount", "gift"}
    assert run(f"{words} c.csv --on 2024-06-01") == 0
    assert pl.read_csv("c.csv")["experiment"].unique().to_list() == ["winback"]
    assert run(f"{words} d.csv --id welcome") == 0
    assert pl.read_csv("d.csv")["experiment"].unique().to_list() == ["welcome"]


def test_assign_by_what_was_seen(world, capsys):
    words = "assign --experiments thompson.yaml --units users.csv --out a.parquet"
    assert run(words) == 0
    assert "shares are those of the file" in capsys.readouterr().err
    first = pl.read_parquet("a.parquet").head(400)
    first.with_columns(bought=(pl.col("variant") == "b").cast(int)).write_csv("seen.csv")
    assert run(f"{words} --outcomes seen.csv --metric bought") == 0
    second = pl.read_parquet("a.parquet")
    assert second.height == 1600  # the others keep what they have
    assert second.join(first, on="unit").is_empty()
    # all of b bought and none of a: b is the best for sure, a keeps the minimum of 5 %
    shares = dict(second.select("variant", "propensity").unique().iter_rows())
    assert shares == {"a": pytest.approx(0.05), "b": pytest.approx(0.95)}
    assert second["variant"].eq("b").mean() == pytest.approx(0.95, abs=3 * (0.0475 / 1600) ** 0.5)


def test_who_waits_for_an_outcome_keeps_what_it_got(world, capsys):
    words = "assign --experiments thompson.yaml --units users.csv --out a.parquet"
    assert run(words) == 0
    first = pl.read_parquet("a.parquet").head(1000)
    bought = pl.when(pl.int_range(1000) < 400).then((pl.col("variant") == "b").cast(int))
    first.with_columns(bought=bought).write_csv("seen.csv")
    assert run(f"{words} --outcomes seen.csv --metric bought") == 0
    second = pl.read_parquet("a.parquet")
    assert second.join(first, on="unit").is_empty()
    assert second.height == 1000
    # the 400 known outcomes alone count: as if there were no others
    first.head(400).with_columns(bought=(pl.col("variant") == "b").cast(int)).write_csv("seen.csv")
    assert run(f"{words} --outcomes seen.csv --metric bought") == 0
    assert pl.read_parquet("a.parquet").join(second, on=["unit", "variant", "propensity"]).height == 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--experiments experiments.yaml --id zebra", "--id zebra: no such experiment; there are welcome, winback"),
        ("--experiments experiments.yaml --on May", "--on 'May': give a date"),
        ("--experiments experiments.yaml --id welcome --on 2025-01-01", "none of welcome runs on that day"),
        ("--experiments experiments.yaml --unit customer", "no column 'customer'; it has user_id"),
        ("--experiments experiments.yaml --outcomes outcomes.csv --metric visit", "shares do not change"),
        ("--experiments thompson.yaml --outcomes outcomes.csv", "say with --metric"),
        ("--experiments thompson.yaml --outcomes outcomes.csv --metric visit", "no column 'experiment'"),
        ("--experiments none.yaml", "cannot read none.yaml"),
    ],
)
def test_impossible_assignments(world, words, said, capsys):
    assert said in refusal(capsys, f"assign --units users.csv --out a.csv {words}")
    assert not Path("a.csv").exists()


def test_units_twice(world, capsys):
    pl.DataFrame({"user_id": ["a", "b", "a"]}).write_csv("twice.csv")
    words = "assign --experiments experiments.yaml --units twice.csv --out a.csv"
    assert "unit 'a' is listed more than once" in refusal(capsys, words)


def test_thompson_outcomes_must_be_0_or_1(world, capsys):
    frame = pl.DataFrame({"unit": ["x"], "variant": ["a"], "experiment": ["shop"], "bought": [2]})
    frame.write_csv("seen.csv")
    words = "assign --experiments thompson.yaml --units users.csv --out a.csv --outcomes seen.csv --metric bought"
    assert "bought is 2; Thompson sampling needs 0 or 1" in refusal(capsys, words)
    frame.with_columns(variant=pl.lit("z"), bought=1).write_csv("seen.csv")
    assert "unknown variant 'z'; shop has a, b" in refusal(capsys, words)


def test_analyze(world, capsys):
    found = answer(capsys, "--metric", "visit", "--metric", "spend")
    assert found["decision"] == "ship"
    assert found["units"] == {"none": 200, "mail": 200}
    assert found["sample_ratio"]["passes"]
    visit, spend = found["comparisons"]
    assert (visit["kind"], visit["control_mean"], visit["mean"], visit["lift"]) == (
        "proportion",
        0.1,
        0.3,
        pytest.approx(2),
    )
    assert (spend["kind"], spend["control_mean"], spend["mean"]) == ("mean", 1.0, 3.0)
    assert visit["lift_interval"][0] > 0


def test_analyze_ratios_returns_covariates_and_peeking(world, capsys):
    (ratio,) = answer(capsys, "--ratio", "clicks/views")["comparisons"]
    # 0, 1, 2, 0, … of 200 units are 199 clicks (66 times 3, and 0 + 1); 0, 1, 2, 3 fifty times are 300; of 1000 views
    assert (ratio["control_mean"], ratio["mean"]) == (pytest.approx(0.199), pytest.approx(0.3))
    # spend rises by 2 per unit, of which half is left, for a cost of 0.5: (1 − 0.5) / 0.5 = 100 %
    for cost in ("mail=0.5", "price"):
        (paid,) = answer(capsys, "--metric", "visit", "--revenue", "spend", "--cost", cost, "--margin", "0.5")[
            "returns"
        ]
        assert (paid["variant"], paid["roi"], paid["cost"]) == ("mail", pytest.approx(1), pytest.approx(0.5))
        assert paid["bounds"][0] < 1 < paid["bounds"][1]
    plain = answer(capsys, "--metric", "spend")["comparisons"][0]
    adjusted = answer(capsys, "--metric", "spend", "--covariate", "before")
    assert adjusted["comparisons"][0]["difference"] == pytest.approx(plain["difference"])  # the covariate is balanced
    assert any("CUPED" in notice for notice in adjusted["notices"])
    peeked = answer(capsys, "--metric", "visit", "--sequential", "800")
    assert peeked["sequential_progress"] == 0.5
    low, high = peeked["comparisons"][0]["difference_interval"]
    fixed_low, fixed_high = answer(capsys, "--metric", "visit")["comparisons"][0]["difference_interval"]
    assert low < fixed_low < fixed_high < high
    roi = ("--metric", "visit", "--revenue", "spend", "--cost", "mail=0.5")
    (fixed,), (looked,) = (answer(capsys, *roi, *more)["returns"] for more in ((), ("--sequential", "800")))
    assert looked["bounds"][0] < fixed["bounds"][0] < fixed["bounds"][1] < looked["bounds"][1]


def test_a_covariate_that_the_treatment_changed_is_refused(world, capsys):
    words = "analyze --table outcomes.csv --metric spend --covariate before --covariate price"
    assert "--covariate price: differs between variants more than by chance" in refusal(capsys, words)


def test_the_table_and_the_page(world, capsys):
    words = "analyze --table outcomes.csv --control none --metric visit --guardrail spend=-0.05"
    assert run(f"{words} --report page.html") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("Ship mail: visit is 200.0% higher than with none.")
    assert "holds" in printed.out
    assert "No shares were planned" in printed.err
    page = Path("page.html").read_text()
    assert "Ship mail" in page
    assert page.count("data:image/png;base64,") == 4  # two metrics, light and dark
    assert "http" not in page.replace("http-equiv", "")


def test_the_return_on_a_cost_is_drawn(world):
    assert (
        run("analyze --table outcomes.csv --control none --metric visit --revenue spend --cost mail=1 --report r.html")
        == 0
    )
    assert Path("r.html").read_text().count("data:image/png;base64,") == 4  # visits and returns, light and dark


def test_propensities_say_which_shares_were_planned(world, capsys):
    # 300 of one and 100 of the other are no mismatch where three in four were drawn
    shares = pl.when(pl.int_range(400) < 300).then(pl.lit("none")).otherwise(pl.lit("mail"))
    uneven = world.with_columns(variant=shares)
    drawn = pl.when(pl.col("variant") == "none").then(0.75).otherwise(0.25)
    uneven.with_columns(propensity=drawn).write_csv("outcomes.csv")
    found = answer(capsys, "--metric", "visit")
    assert found["sample_ratio"]["p_value"] == 1.0
    assert not any("No shares were planned" in notice for notice in found["notices"])
    uneven.with_columns(propensity=0.5).write_csv("outcomes.csv")
    assert answer(capsys, "--metric", "visit")["sample_ratio"]["p_value"] < 1e-9


def test_the_first_variant_is_the_control_and_this_is_said(world, capsys):
    assert run("analyze --table outcomes.csv --metric visit") == 0
    assert "No control was named: all is compared with mail" in capsys.readouterr().err


def test_retention(world, capsys):
    exposed = pl.lit("2024-05-01T10:00:00").str.to_datetime()
    late = pl.int_range(400) % 200 >= 150  # the last 50 of each variant are exposed ten days before the end
    start = pl.when(late).then(exposed + pl.duration(days=20)).otherwise(exposed)
    stayed = pl.when(pl.int_range(400) % 200 < pl.when(pl.col("variant") == "mail").then(90).otherwise(30))
    seen = stayed.then(start + pl.duration(days=30)).otherwise(start + pl.duration(days=1))
    world.with_columns(exposed_at=start, last_seen_at=seen).write_csv("outcomes.csv")
    found = answer(capsys, "--retention", "14")
    # of 150 that were exposed 30 days before the end, 90 and 30 were seen 14 days later
    (one,) = found["comparisons"]
    assert (one["metric"], one["control_mean"], one["mean"]) == (
        "retention 14 days",
        pytest.approx(0.2),
        pytest.approx(0.6),
    )
    assert "retention 14 days: 300 of 400 units were exposed long enough ago." in found["notices"]
    assert "end less than 40 days after" in refusal(capsys, "analyze --table outcomes.csv --retention 40")


def test_moving_shares_are_weighted(world, capsys):
    weighted = world.with_columns(propensity=pl.when(pl.int_range(400) % 200 < 100).then(0.25).otherwise(0.5))
    weighted.write_csv("outcomes.csv")
    found = answer(capsys, "--metric", "visit")
    # weights 4 and 2: of mail 60 · 4 / (100 · 4 + 100 · 2) = 0.4
    assert found["comparisons"][0]["mean"] == pytest.approx(0.4)
    # they add up to 600 of 400 units: these shares cannot have been drawn so
    assert found["decision"] == "distrust"


def test_a_batch_of_learned_shares_is_checked_by_them(world, capsys):
    # one day's assignments, all with the shares of that day, not with those of the file
    world.with_columns(propensity=0.5).write_csv("outcomes.csv")
    assert answer(capsys, "--metric", "visit", "--shares", "none=0.9,mail=0.1")["sample_ratio"]["p_value"] == 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"visit": pl.lit("yes")}, "outcomes.csv: row 1: visit is 'yes' (400 rows); give numbers, 0 where nothing"),
        ({"visit": pl.when(pl.int_range(400) != 6).then(1)}, "row 7: visit is empty (1 rows)"),
        ({"visit": pl.when(pl.int_range(400) == 6).then(float("inf")).otherwise(1.0)}, "row 7: visit is inf"),
        ({"variant": pl.lit("none")}, "variant 'mail' has no units; at least 2 are needed"),
        ({"variant": pl.when(pl.int_range(400) < 399).then(pl.lit("none")).otherwise(pl.lit("mail"))}, "a single unit"),
        (
            {"variant": pl.when(pl.int_range(400) == 6).then(pl.lit("mial")).otherwise("variant")},
            "row 7: unknown variant 'mial'; there are none, mail",
        ),
        ({"variant": pl.when(pl.int_range(400) != 6).then("variant")}, "row 7 has no variant"),
        ({"unit": pl.lit("u1")}, "unit 'u1' is in the variants mail and none; a unit has one variant"),
        (
            {
                "unit": pl.int_range(400) % 200
                + 200 * (pl.col("variant") == "mail").cast(int)
                - (pl.int_range(400) == 1)
            },
            "unit '0' has 2 rows; give one row per unit",
        ),
        ({"propensity": pl.lit(0.0)}, "row 1: propensity is 0; it must lie above 0"),
        ({"outcome_at": pl.lit("2024-05-01T00:00:00")}, "has outcome_at but no exposed_at"),
        (
            {"exposed_at": pl.lit("2024-05-02T00:00:00"), "outcome_at": pl.lit("2024-05-01T12:00:00")},
            "row 1: outcome_at 2024-05-01 12:00 lies before exposed_at 2024-05-02 00:00 (400 rows)",
        ),
        ({"visit": pl.when(pl.int_range(400) == 6).then(1e200).otherwise(1.0)}, "row 7: visit is 1e+200"),
        ({"experiment": pl.when(pl.int_range(400) == 6).then(pl.lit("a")).otherwise(pl.lit("b"))}, "experiments a, b;"),
        ({"exposed_at": pl.lit("soon")}, "exposed_at holds String; give times"),
    ],
)
def test_bad_tables(world, change, said, capsys):
    world.with_columns(**change).write_csv("outcomes.csv")
    words = "analyze --table outcomes.csv --metric visit --shares none=0.5,mail=0.5"
    assert said in refusal(capsys, words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "--metric: name a column of outcomes"),
        ("--metric zebra", "no column 'zebra'; it has unit, variant, visit"),
        ("--metric visit --control zebra", "control 'zebra': outcomes.csv has the variants mail, none"),
        ("--metric visit --shares none=0.5,mail=0.4", "add up to 0.9; they must add up to 1"),
        ("--metric visit --shares none,mail", "write NAME=SHARE"),
        ("--metric visit --shares none=0.5,letter=0.5", "unknown variant 'mail'; there are none, letter"),
        ("--metric visit --metric visit", "metric 'visit' is asked for twice"),
        ("--metric visit --lower spend", "--lower spend: is no metric here"),
        ("--metric visit --guardrail spend", "write METRIC=MARGIN"),
        ("--metric visit --guardrail spend=2", "write METRIC=MARGIN"),
        ("--ratio clicks", "write NUMERATOR/DENOMINATOR"),
        ("--metric visit --revenue spend", "ROI needs both"),
        ("--metric visit --revenue spend --cost zebra=1", "write VARIANT=COST with one of mail, none"),
        (
            "--metric visit --revenue spend --cost none=1 --control none",
            "no variant costs more than the control 'none'",
        ),
        ("--metric visit --revenue spend --cost none=1 --margin 0", "--margin 0: must lie above 0"),
        ("--metric visit --alpha 2", "--alpha 2: must lie between 0 and 1"),
        ("--metric visit --sequential 0", "--sequential 0: give the number of units"),
        ("--retention 0", "--retention 0: must be from 1 to 36,500 days"),
        ("--retention 1000000000", "--retention 1000000000: must be from 1 to 36,500 days"),
        ("--retention 7", "no column 'exposed_at'"),
        ("--metric visit --id a", "--id a: name its file with --experiments"),
        ("--metric visit --experiments experiments.yaml", "has the experiments welcome, winback; say which with --id"),
        ("--metric visit --experiments experiments.yaml --id welcome", "unknown variant 'mail'"),
        ("--metric visit --report page.pdf", "name a file that ends with .html"),
        ("--metric visit --unit user", "no column 'user'"),
    ],
)
def test_impossible_analyses(world, words, said, capsys):
    assert said in refusal(capsys, f"analyze --table outcomes.csv {words}")


def test_the_days_of_the_experiment_are_checked(world, capsys):
    changed = world.with_columns(
        variant=pl.when(pl.col("variant") == "mail").then(pl.lit("gift")).otherwise("variant"),
        exposed_at=pl.lit("2024-05-29T08:00:00"),
    )
    pl.concat([changed, changed.with_columns(unit=pl.col("unit") + "x", variant=pl.lit("discount"))]).write_csv("o.csv")
    words = "analyze --table o.csv --metric visit --experiments experiments.yaml --id welcome"
    said = "exposed_at 2024-05-29 lies outside the experiment's days 2024-05-01 to 2024-05-28 (800 rows)"
    assert said in refusal(capsys, words)


def test_of_a_table_of_several_experiments_its_own_rows_count(world, capsys):
    # what `assign` writes of two experiments, each of which has every unit
    both = [world.with_columns(experiment=pl.lit("shop")), world.reverse().with_columns(experiment=pl.lit("other"))]
    pl.concat(both).with_columns(variant=pl.col("variant").replace({"none": "a", "mail": "b"})).write_csv(
        "outcomes.csv"
    )
    (Path("e.yaml")).write_text("id: shop\nvariants: {a: 0.5, b: 0.5}\n")
    words = "analyze --table outcomes.csv --metric visit --experiments e.yaml --json"
    assert run(words) == 0
    assert json.loads(capsys.readouterr().out)["units"] == {"a": 200, "b": 200}
    Path("e.yaml").write_text("id: third\nvariants: {a: 0.5, b: 0.5}\n")
    assert "holds nothing of experiment third, only of other, shop" in refusal(capsys, words)


def test_a_few_who_spend_much_in_unequal_shares_are_said(world, capsys):
    # one unit in 100 spends: skewness (1 − 2p) / sqrt(p (1 − p)) = 9.85; of 100 beside 900 units the difference has
    # (1/100² − 1/900²) / (1/100 + 1/900)^1.5 = 0.0843 of it, 0.83; of equal arms none
    said = "spend: so few units have so much of it that in unequal shares its p-values are rough."
    for units, skewed in ((100, True), (500, False)):
        variant = ["mail"] * units + ["none"] * (1000 - units)
        spend = [10.0 * (i % 100 == 0) for i in range(1000)]
        pl.DataFrame({"unit": range(1000), "variant": variant, "spend": spend}).write_csv("outcomes.csv")
        assert (said in answer(capsys, "--metric", "spend")["notices"]) == skewed


def test_no_revenue_at_all_is_no_share(world, capsys):
    nothing = world.with_columns(visit=pl.lit(0), spend=pl.lit(0.0))
    nothing.write_csv("outcomes.csv")
    share, mean = answer(capsys, "--metric", "visit", "--metric", "spend")["comparisons"]
    assert (share["kind"], mean["kind"]) == ("proportion", "mean")
    assert share["difference_interval"][1] == pytest.approx(0.0189, abs=1e-4)  # of 200 none; of money nothing is known
    assert mean["difference_interval"] is None


def test_ids_are_no_fractions(world, capsys):
    # 7 of one table would be 7.0 of the other, and be hashed to another variant
    pl.DataFrame({"user_id": [7.0, 8.0]}).write_parquet("users.parquet")
    words = "assign --experiments experiments.yaml --units users.parquet --out a.csv"
    assert "user_id holds Float64; give text or whole numbers" in refusal(capsys, words)


def test_a_day_is_not_before_its_noon(world, capsys):
    times = {"exposed_at": pl.lit("2024-05-01T12:00:00"), "outcome_at": pl.lit("2024-05-01")}
    world.with_columns(**times, last_seen_at=pl.lit("2024-05-29")).write_csv("outcomes.csv")
    found = answer(capsys, "--metric", "visit", "--retention", "28")
    assert found["comparisons"][1]["mean"] == 1.0
    world.with_columns(**times | {"outcome_at": pl.lit("2024-04-30")}).write_csv("outcomes.csv")
    words = "analyze --table outcomes.csv --metric visit"
    assert "outcome_at 2024-04-30 00:00 lies before" in refusal(capsys, words)


def test_a_thompson_experiment_needs_propensities(world, capsys):
    words = "analyze --table outcomes.csv --metric visit --experiments thompson.yaml"
    assert "shop has moving shares; add the column propensity" in refusal(capsys, words)
