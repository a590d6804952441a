"""Factors learnt from experiments whose effects are known, and what cannot be learnt from."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from data_pipelines.schema import InputError
from supplytower import main
from training.customer_matrix import CustomerMatrix
from training.randomisation import check_balance, doubts
from training.uplift_config import UpliftConfig
from training.uplift_effect import PERSONAL, Measured, average_factor, measure, personal_factors, slope

QUICK = ["--set", "resamples=200"]


def experiment(seed: int = 0, n: int = 4000, effect: float = 0.3) -> pl.DataFrame:
    """Customers of the north buy with 0.2, contacted with 0.2 + `effect`; those of the south with 0.4 either way."""
    random = np.random.default_rng(seed)
    north, treated = random.random(n) < 0.5, random.random(n) < 0.5
    bought = random.random(n) < np.where(north, 0.2 + effect * treated, 0.4)
    return pl.DataFrame(
        {
            "user_id": [f"u{number:04d}" for number in range(n)],
            "variant": np.where(treated, "mail", "control"),
            "bought": bought.astype(int),
            "region": np.where(north, "north", "south"),
            "age": random.integers(18, 90, n),
        }
    )


def uplift(folder: Path, table: pl.DataFrame | None, *words: str, out: str = "uplift.parquet") -> int:
    if table is not None:
        table.write_parquet(folder / "test.parquet")
    known = ["--table", str(folder / "test.parquet"), "--outcome", "bought", "--out", str(folder / out)]
    return main(["campaigns", "uplift", *known, *QUICK, *words])


OWN = ["--features", "region", "age"]


def test_who_is_moved_gets_a_high_factor(tmp_path, capsys):
    table = experiment()
    assert uplift(tmp_path, table, *OWN) == 0
    found = pl.read_parquet(tmp_path / "uplift.parquet").join(table, on="user_id")
    means = dict(found.group_by("region").agg(pl.col("uplift").mean()).iter_rows())
    # 0.5 / 0.2 and 0.4 / 0.4; of a thousand customers in each cell, errors are √(.25/1000) / .2, about 0.1
    assert found.height == 4000
    assert means["north"] == pytest.approx(2.5, abs=0.35)
    assert means["south"] == pytest.approx(1.0, abs=0.2)
    printed = capsys.readouterr()
    assert "every customer gets a factor" in printed.err
    assert "Warning" not in printed.err
    assert "response (no uplift)" in printed.out
    assert uplift(tmp_path, None, *OWN, "--set", "learner=class_transformation", out="other.csv") == 0
    other = pl.read_csv(tmp_path / "other.csv").join(table, on="user_id")
    assert other.filter(region="north")["uplift"].mean() == pytest.approx(2.5, abs=0.35)


def test_where_nobody_can_be_told_from_others_all_get_the_average(tmp_path, capsys):
    table = experiment().with_columns(region=pl.lit("all"))  # what matters is not known
    assert uplift(tmp_path, table, *OWN, "--campaign", "spring") == 0
    written = pl.read_parquet(tmp_path / "uplift.parquet")
    assert written["campaign_id"].unique().to_list() == ["spring"]
    rates = dict(table.group_by("variant").agg(pl.col("bought").mean()).iter_rows())
    assert written["uplift"].unique().to_list() == [pytest.approx(rates["mail"] / rates["control"])]
    said = capsys.readouterr().err
    assert "does not rank better than random: its interval is not above 0. Everybody gets the average effect;" in said
    assert uplift(tmp_path, None, *OWN, "--force") == 0
    assert pl.read_parquet(tmp_path / "uplift.parquet")["uplift"].n_unique() > 10
    assert "gets what the models say all the same: --force" in capsys.readouterr().err
    without = experiment(effect=0.0).with_columns(region=pl.lit("all"))
    assert uplift(tmp_path, without, *OWN) == 0
    assert "the average effect, which may be none at all" in capsys.readouterr().err


def test_the_ranking_is_believed_as_rarely_by_chance_as_it_should_be():
    # an interval of 95 % lies above 0 by chance in 2.5 %: of 40 worlds in 1, at most 1 + 3 √(40 · .025 · .975) = 3.96
    config, believed, found = UpliftConfig(resamples=200), 0, 0
    for seed in range(40):
        table = experiment(seed, n=1600)
        treated = (table["variant"] == "mail").cast(pl.Int64).to_numpy()
        age = CustomerMatrix(table, ["age"], "ages").transform(table)
        region = (table["region"] == "north").cast(pl.Float64).to_numpy()[:, None]
        outcome = table["bought"].to_numpy()
        believed += measure(age, treated, outcome, config).qini[PERSONAL].low > 0
        found += measure(region, treated, outcome, config).qini[PERSONAL].low > 0
    assert believed <= 3
    assert found >= 38


def test_the_average_factor_by_hand():
    # 20 of 100 and 10 of 100: 2; the error of its logarithm √(.8/20 + .9/10) = .36056, times 1.95996: .70668
    treated = np.repeat([1, 0], 100)
    outcome = np.concatenate([np.arange(100) < 20, np.arange(100) < 10]).astype(np.int64)
    found = average_factor(treated, outcome, 0.95)
    assert found.mean == pytest.approx(2)
    assert (found.low, found.high) == pytest.approx((2 / np.exp(0.70668), 2 * np.exp(0.70668)), rel=1e-4)


def test_baselines_near_nothing_do_not_make_factors_of_hundreds():
    # 40 % of the left ones with x = 1 buy, of the others (almost) nobody, with or without a contact
    x, treated = np.tile([0.0, 1.0], 2000)[:, None], np.repeat([0, 1], 2000)
    outcome = (np.random.default_rng(0).random(4000) < 0.4 * x[:, 0]).astype(np.int64)
    outcome[(x[:, 0] == 0) & (treated == 1)] = np.arange(1000) < 20  # 2 %: twenty chance purchases
    factors = personal_factors(x, treated, outcome, np.zeros((1, 1)), Measured({}), UpliftConfig(inverse_penalty=1e6))
    assert factors[0] == pytest.approx(1 + 0.02 / (0.1 * outcome[treated == 0].mean()), rel=0.01)


def test_what_models_exaggerate_is_taken_back():
    # predicted 0.2 apart, 0.1 apart in truth: half of it; less than nothing and more than all are not believed
    predicted = np.array([0.0, 0.2, 0.0, 0.2])
    assert slope(predicted, np.array([0.3, 0.4, 0.3, 0.4])) == pytest.approx(0.5)
    assert slope(predicted, np.array([0.4, 0.3, 0.4, 0.3])) == 0.0
    assert slope(predicted, np.array([0.0, 1.0, 0.0, 1.0])) == 1.0
    assert slope(np.ones(4), np.array([0, 1, 0, 1])) == 0.0
    # forty columns that say nothing and few customers: without the slopes factors would differ by more than they do
    random = np.random.default_rng(0)
    features, treated = random.normal(size=(600, 40)), random.integers(0, 2, 600)
    outcome = (random.random(600) < 0.2 + 0.1 * treated).astype(np.int64)
    config = UpliftConfig(resamples=1, inverse_penalty=1.0)
    measured = measure(features, treated, outcome, config)
    spread = [
        personal_factors(features, treated, outcome, features, one, config).std() for one in (measured, Measured({}))
    ]
    assert spread[0] < 0.5 * spread[1]


def test_balance_is_the_t_test_where_there_is_one_feature():
    random = np.random.default_rng(0)
    treated = random.integers(0, 2, 200)
    values = random.normal(size=200) + 0.3 * treated
    found = check_balance(values[:, None], treated, ["age"])
    assert found.p_value == pytest.approx(stats.ttest_ind(values[treated == 1], values[treated == 0]).pvalue)
    assert found.feature == "age"
    assert check_balance(np.ones((4, 2)), np.array([1, 1, 0, 0]), ["a", "b"]).p_value == 1.0


def test_a_coin_passes_and_a_choice_does_not():
    random, p_values = np.random.default_rng(0), []
    for _ in range(300):
        features = np.column_stack([random.exponential(size=(150, 4)), random.integers(0, 2, (150, 2))])
        p_values.append(check_balance(features, random.integers(0, 2, 150), list("abcdef")).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    features = random.normal(size=(2000, 2))
    chosen = (features[:, 1] + random.normal(size=2000) > 0).astype(np.int64)
    [said] = doubts(features, chosen, ["age", "spend"], 0.5)
    assert said.startswith("features tell who was contacted")
    assert "most spend, +1." in said
    assert doubts(features, random.integers(0, 2, 2000), ["age", "spend"], 0.5) == []
    [said] = doubts(features, random.integers(0, 2, 2000), ["age", "spend"], 0.6)
    assert "were contacted where 60.0% were planned" in said


def test_what_is_learnt_of_columns_holds_for_others():
    table = pl.DataFrame(
        {"spend": [1.0, 10.0, 1000.0, None], "vip": [True, False, True, False], "town": [*list("aab"), None]}
    )
    matrix = CustomerMatrix(table, ["town", "spend", "vip"], "t")
    assert matrix.names == ["spend", "vip", "town_", "town_a", "town_b"]
    others = pl.DataFrame({"spend": [float("inf"), 10.0, 1e9], "vip": [None, True, False], "town": ["a", "new", "b"]})
    rows = matrix.transform(others)
    assert np.isfinite(rows).all()
    assert rows[0, 0] == rows[1, 0]  # a gap is the median, 10
    assert rows[2, 0] == matrix.transform(table)[2, 0]  # beyond the highest there is nothing
    assert rows[:, 2:].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]
    with pytest.raises(InputError, match="t: born holds Date; a feature holds numbers, flags or words"):
        CustomerMatrix(table.with_columns(born=pl.date(2000, 1, 1)), ["born"], "t")


@pytest.fixture
def shop(tmp_path):
    """An experiment whose customers have profiles; three new customers have some too, twenty of the test none."""
    table = experiment()
    known = table.select("user_id", "region", "age").tail(3980)
    new = pl.DataFrame({"user_id": ["n1", "n2", "n3"], "region": ["north", "south", None], "age": [30, 40, None]})
    folder = tmp_path / "profiles"
    folder.mkdir()
    pl.concat([known, new], how="vertical_relaxed").write_parquet(folder / "profiles.parquet")
    table.select("user_id", "variant", "bought").write_parquet(tmp_path / "test.parquet")
    return tmp_path


def test_from_an_experiment_to_a_plan(shop, capsys):
    assert uplift(shop, None, "--profiles", str(shop / "profiles"), out="uplift.csv") == 0
    assert "20 customers of the history are not in" in capsys.readouterr().err
    factors = dict(pl.read_csv(shop / "uplift.csv").select("user_id", "uplift").iter_rows())
    assert len(factors) == 3983
    assert factors["n1"] > 2 > factors["n2"]
    data = shop / "data"
    data.mkdir()
    end = datetime(2024, 3, 1, 12)
    pl.DataFrame(
        {"user_id": ["n1", "n2"], "item_id": "tea", "event_type": "purchase", "timestamp": [end, end - timedelta(1)]}
    ).write_parquet(data / "events.parquet")
    pl.DataFrame({"item_id": ["tea"], "price": [10.0], "category": ["tea"]}).write_parquet(data / "items.parquet")
    pl.DataFrame({"user_id": ["n1", "n2"], "item_id": "tea", "probability": 0.1}).write_csv(shop / "scores.csv")
    (shop / "spring.yaml").write_text(
        "campaigns: [{id: spring, channel: mail, start: 2024-03-01, end: 2024-03-01, budget: 9, cost_per_contact: 0.1}]"
    )
    files = {"data": data, "scores": shop / "scores.csv", "campaigns": shop / "spring.yaml"}
    files |= {"uplift": shop / "uplift.csv", "out": shop / "plan.parquet"}
    words = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    assert main(["campaigns", "plan", *words]) == 0
    plan = pl.read_parquet(shop / "plan.parquet").sort("user_id")
    assert plan["uplift"].to_list() == pytest.approx([factors["n1"], factors["n2"]])
    assert plan["value"].to_list() == pytest.approx([0.1 * factors[user] * 3 - 0.1 for user in ("n1", "n2")])


def test_factors_for_other_customers_than_those_learnt_from(shop):
    now = pl.DataFrame({"user_id": ["x"], "age": [50], "region": ["north"], "more": [1]})
    now.write_csv(shop / "now.csv")
    assert uplift(shop, None, "--profiles", str(shop / "profiles"), "--customers", str(shop / "now.csv")) == 0
    assert pl.read_parquet(shop / "uplift.parquet")["user_id"].to_list() == ["x"]


def test_arms_by_name_and_customers_of_a_third(tmp_path):
    table = experiment(n=3000)
    third = pl.Series(np.arange(3000) % 3 == 0)
    table = table.with_columns(pl.when(third).then(pl.lit("letter")).otherwise("variant").alias("variant"))
    assert uplift(tmp_path, table, *OWN, "--treatment", "mail") == 0
    assert pl.read_parquet(tmp_path / "uplift.parquet").height == 3000


def changed(**columns) -> pl.DataFrame:
    return experiment(n=200).with_columns(**columns)


@pytest.mark.parametrize(
    ("table", "words", "said"),
    [
        (changed(variant=pl.lit("mail")), OWN, "no control group: variant holds mail; name the customers"),
        (changed(), [*OWN, "--control", "none"], "no control group: variant holds control, mail"),
        (changed(variant=pl.lit("control")), OWN, "all units have variant 'control'; there is nothing"),
        (changed(), [*OWN, "--treatment", "control"], "--treatment control: is the control; name the arm"),
        (changed(), [*OWN, "--treatment", "letter"], "variant 'letter' has no units"),
        (changed(bought=pl.lit("often")), OWN, "row 1: bought is 'often'"),
        (changed(bought=pl.lit(2)), OWN, "row 1: bought is 2; give 1 to those who did"),
        (changed(bought=pl.lit(1)), OWN, "variant 'control' has 0 with outcome 0; at least 10 are needed"),
        (changed(user_id=pl.lit("u")), OWN, "unit 'u' is in the variants control and mail"),
        (changed(), ["--features", "regoin"], "--features regoin: "),
        (changed(), ["--features", "regoin"], "has no such column; did you mean 'region'?"),
        (changed(), ["--features", "bought"], "--features bought: was not known before the contact"),
        (changed(), [], "give --profiles, or name columns of the table"),
        (changed(), [*OWN, "--unit", "customer"], "no column 'customer'"),
        (changed(), [*OWN, "--variant", "arm"], "no column 'arm'"),
        (changed(), [*OWN, "--set", "held_out=1"], "held_out=1: must be above 0 and below 1"),
        (changed(propensity=pl.int_range(pl.len()) / 400 + 0.1), OWN, "propensities differ within an arm"),
        (changed(), ["--profiles", "nowhere"], "nowhere: cannot be read"),
        (changed(), ["--out", "uplift.txt", *OWN], "--out uplift.txt: name a file that ends with"),
    ],
)
def test_what_cannot_be_learnt_from(tmp_path, table, words, said, capsys):
    assert uplift(tmp_path, table, *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "uplift.parquet").exists()


@pytest.mark.parametrize(
    ("profiles", "said"),
    [
        ("user_id,age\nx,3\n", "has none of the customers of the history, e.g. 'u0000'; build the profiles from"),
        ("user_id,age\nu0000,3\nu0001,4\n", "of the customers that it knows, variant"),
        ("user_id\nu0000\n", "says nothing of the customers but their ids"),
        ("user_id,age\nu1,3\nu1,3\n", "user_id 'u1' is there twice"),
        ("id,age\nu1,3\n", "no column 'user_id'; it has id, age"),
    ],
)
def test_profiles_that_do_not_fit(tmp_path, profiles, said, capsys):
    (tmp_path / "profiles.csv").write_text(profiles)
    assert uplift(tmp_path, experiment(n=200), "--profiles", str(tmp_path / "profiles.csv")) == 2
    assert said in capsys.readouterr().err


def test_customers_without_the_features_learnt_from(shop, capsys):
    pl.DataFrame({"user_id": ["x"], "age": [50]}).write_csv(shop / "now.csv")
    assert uplift(shop, None, "--profiles", str(shop / "profiles"), "--customers", str(shop / "now.csv")) == 2
    assert "has no such column" in capsys.readouterr().err


def test_a_history_that_was_not_randomised_is_warned_of(tmp_path, capsys):
    table = experiment(n=1000)
    chosen = (pl.col("age") > 50) & pl.lit(pl.Series(np.random.default_rng(0).random(1000) < 0.9))
    table = table.with_columns(pl.when(chosen).then(pl.lit("mail")).otherwise(pl.lit("control")).alias("variant"))
    assert uplift(tmp_path, table, *OWN) == 0
    said = capsys.readouterr().err
    assert "Warning: features tell who was contacted" in said
    assert "most age" in said
