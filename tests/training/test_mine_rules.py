"""`supplytower rules mine` and `rules evaluate` on a shop whose rules are known."""

import json
import re

import polars as pl
import pytest

from supplytower import main
from tests.toy import day, write_prepared
from tests.training.basket_world import basket_events, basket_items, write_baskets
from training.evaluate_rules import evaluate_rules
from training.rules_config import RulesConfig

N_BASKETS = 550  # fifty days of ten customers and the hermit


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_baskets(tmp_path_factory.mktemp("data") / "shop")


def mine(data, out, *words: str) -> int:
    return main(["rules", "mine", "--data", str(data), "--out", str(out), "--level", "item", *words])


def rules(out, level: str = "item") -> dict[str, dict]:
    table = pl.read_parquet(out / "rules.parquet").filter(pl.col("level") == level)
    return {" ".join([*row["antecedent"], "→", *row["consequent"]]): row for row in table.iter_rows(named=True)}


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("rules") / "rules"
    assert mine(data, out) == 0
    return out


def test_the_true_pairs_are_found_and_nothing_else(found):
    # Bread goes with pasta and sauce no more than with anything; salt and pepper are one customer's.
    assert set(rules(found)) == {"pasta → sauce", "sauce → pasta", "cheese → wine", "wine → cheese"}


def test_the_measures_by_hand(found):
    # Each day 3 of 11 baskets hold pasta and sauce, 4 pasta, 4 sauce.
    row = rules(found)["pasta → sauce"]
    assert row["baskets"] == 150
    assert row["support"] == pytest.approx(3 / 11)
    assert row["confidence"] == pytest.approx(3 / 4)
    assert row["lift"] == pytest.approx(3 / 4 / (4 / 11))
    assert row["leverage"] == pytest.approx(3 / 11 - 16 / 121)
    assert row["conviction"] == pytest.approx((1 - 4 / 11) / (1 / 4))
    assert row["p_value"] < row["p_adjusted"] < 1e-30
    assert (row["antecedent_name"], row["consequent_name"]) == ("the pasta", "the sauce")
    assert 10 <= row["customers"] <= 40


def test_a_habit_of_one_customer_is_no_rule_of_the_shop(data, tmp_path):
    assert mine(data, tmp_path / "all", "--set", "min_customers=1") == 0
    assert rules(tmp_path / "all")["salt → pepper"]["customers"] == 1


def test_bundles_add_up(found):
    table = pl.read_parquet(found / "bundles.parquet")
    rows = {" ".join(row["items"]): row for row in table.iter_rows(named=True)}
    assert set(rows) == {"pasta sauce", "cheese wine"}
    pasta = rows["pasta sauce"]
    # price 1 + 2, cost 0.5 + 0.5; 3/11 ÷ (4/11 · 4/11)
    assert (pasta["price"], pasta["unit_cost"], pasta["margin"]) == (3.0, 1.0, 2.0)
    assert pasta["lift"] == pytest.approx(33 / 16)
    assert pasta["names"] == "the pasta + the sauce"
    assert (rows["cheese wine"]["price"], rows["cheese wine"]["margin"]) == (9.0, None)  # the wine's cost is not known


def test_the_settings_choose(data, tmp_path):
    def chosen(*words: str) -> set[str]:
        assert mine(data, tmp_path / "some", *words) == 0
        return set(rules(tmp_path / "some"))

    pairs = {"pasta → sauce", "sauce → pasta", "cheese → wine", "wine → cheese"}
    assert chosen("--min-support", "0.2") == {"pasta → sauce", "sauce → pasta"}  # cheese and wine: 2 of 11
    assert chosen("--min-confidence", "0.8") == {"cheese → wine", "wine → cheese"}
    assert chosen("--min-lift", "3") == {"cheese → wine", "wine → cheese"}  # lifts of 5.5, and 2.06 of pasta
    assert chosen("--set", "algorithm=fp-growth") == chosen("--set", "algorithm=apriori") == pairs
    assert chosen("--set", "correction=false-discovery") == pairs
    assert chosen("--set", "min_lift_same_size=0", "--min-lift", "0.5", "--set", "min_improvement=0") >= pairs
    # until day 1: two baskets of cheese and wine are fewer than min_baskets
    assert chosen("--until", "2024-01-02", "--set", "min_baskets=3", "--set", "significance=1", "--min-lift", "1") <= {
        "pasta → sauce",
        "sauce → pasta",
    }


def test_categories(data, tmp_path, capsys):
    assert main(["rules", "mine", "--data", str(data), "--out", str(tmp_path / "r")]) == 0
    # drinks (2 of 11) are always with fresh things (2 of 11 cheese, half of 8 others bread): confidence 1, lift 11/6
    row = rules(tmp_path / "r", "category")["drinks → fresh"]
    assert row["confidence"] == 1
    assert row["lift"] == pytest.approx(11 / 6)
    assert row["antecedent_name"] == "drinks"
    assert {level["level"] for level in pl.read_parquet(tmp_path / "r/bundles.parquet").to_dicts()} <= {
        "item",
        "category",
    }
    printed = capsys.readouterr().out
    assert "Items, 550 baskets:" in printed
    assert re.search("the sauce +the pasta +75%", printed)
    assert max(map(len, printed.splitlines())) <= 100


def test_everything_is_in_the_folder_and_the_page_stands_alone(found):
    facts = json.loads((found / "rules.json").read_text())
    assert (facts["baskets"], facts["rules"], facts["bundles"], facts["fingerprint"]) == (N_BASKETS, 4, 2, "toy")
    assert facts["settings"]["min_customers"] == 10
    left = list(facts["steps"]["item"].values())
    assert left[1:] == sorted(left[1:], reverse=True)
    page = (found / "rules.html").read_text()
    assert "the pasta" in page
    assert page.count("data:image/png;base64,") == 4  # two pictures, light and dark
    assert "http" not in page.replace("http-equiv", "")


def test_the_same_again(data, found, tmp_path):
    assert mine(data, tmp_path / "again") == 0
    assert mine(data, tmp_path / "again") == 0  # older rules are replaced
    for name in ("rules.parquet", "bundles.parquet", "rules.html"):
        assert (found / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_no_rule_is_an_answer(data, tmp_path, capsys):
    assert mine(data, tmp_path / "none", "--min-lift", "1000") == 0
    assert "0 rules, 0 bundles" in capsys.readouterr().err
    assert pl.read_parquet(tmp_path / "none/rules.parquet")["antecedent"].dtype == pl.List(pl.String)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--min-support", "0"], "min_support=0.0: must be above 0 and at most 1"),
        (["--min-support", "few"], "setting 'min_support' cannot be 'few'; it must be number or null"),
        (["--min-confidence", "1.5"], "min_confidence=1.5: must be above 0 and at most 1"),
        (["--min-lift", "-1"], "min_lift=-1.0: must be at least 0"),
        (["--max-length", "1"], "max_length=1: must be at least 2"),
        (["--level", "shelf"], "setting 'level' cannot be 'shelf'"),
        (["--until", "soon"], "setting 'until' cannot be 'soon'"),
        (["--until", "2020-01-01"], "until=2020-01-01T00:00:00: no basket is older; the first is of 2024-01-01"),
        (["--set", "max_consequent=3"], "max_consequent=3: must be below max_length=3"),
        (["--set", "significance=2"], "significance=2.0: must be above 0 and at most 1"),
        (["--set", "min_suport=1"], "unknown setting 'min_suport'; did you mean 'min_support'?"),
        (["--level", "category", "--set", "category=aisle"], "category=aisle: not a column of items; it has name,"),
        (["--min-support", "0.9"], "0 items are in at least 495 of 550 baskets: no rule can be found; lower"),
    ],
)
def test_impossible_words(data, tmp_path, capsys, words, message):
    assert mine(data, tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_things_is_left_alone(data, tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear")
    assert mine(data, tmp_path) == 2
    assert "holds letter.txt, not rules alone; name a new folder" in capsys.readouterr().err
    assert mine(data, tmp_path / "out") == 0
    (tmp_path / "letter.txt").rename(tmp_path / "out/letter.txt")
    assert mine(data, tmp_path / "out") == 2  # beside older rules, too
    assert (tmp_path / "out/letter.txt").exists()
    assert mine(data, tmp_path / "out/letter.txt") == 2
    assert "letter.txt: is a file; name a folder" in capsys.readouterr().err


def test_offsets_of_times_are_counted(data, tmp_path):
    # two hours before midnight in UTC: ten trips of the first day and the hermit's, and none of the second
    assert mine(data, tmp_path / "out", "--until", "2024-01-02T02:00+02:00", "--set", "min_baskets=1") == 0
    assert json.loads((tmp_path / "out/rules.json").read_text())["baskets"] == 11


def test_a_folder_without_events(tmp_path, capsys):
    assert mine(tmp_path / "nowhere", tmp_path / "out") == 2
    assert "not a prepared data folder" in capsys.readouterr().err


def test_a_catalogue_without_categories(tmp_path, capsys):
    items = basket_items().drop("category")
    shop = write_prepared(tmp_path / "shop", basket_events(), items)
    assert main(["rules", "mine", "--data", str(shop), "--out", str(tmp_path / "out")]) == 2
    assert "items: no column category, product_category, department; name the one" in capsys.readouterr().err
    assert mine(shop, tmp_path / "out") == 0


def test_rules_find_what_is_missing_in_later_baskets(data, capsys):
    # Ten days of three, two and the hermit's baskets; pasta, sauce and three of soap are with bread every other day.
    result, facts = evaluate_rules(data, day(40), RulesConfig(), k=1)
    assert (facts["rules"], facts["baskets"]) == (4, 10 * 6 + 25)
    # A rule speaks unless bread alone is left, or soap, salt or pepper.
    assert 0.5 < facts["answered"] < 0.8
    assert result["basket rules"]["difference"].low > 0
    assert result["popularity"]["difference"].mean == 0
    assert main(["rules", "evaluate", "--data", str(data), "--k", "1"]) == 0
    assert "4 rules; one item taken out of each of 85 later baskets" in capsys.readouterr().out


def test_nothing_is_asked_about_baskets_of_one_item(tmp_path, capsys):
    alone = [(user, item, "purchase", time) for user, item, _, time in basket_events() if time < day(40)]
    later = [
        ("ann", "soap", "purchase", day(41)),
        ("ben", "new", "purchase", day(42)),
        ("ben", "soap", "purchase", day(42)),
    ]
    shop = write_prepared(tmp_path / "shop", alone + later, test_start=day(40).isoformat())
    assert main(["rules", "evaluate", "--data", str(shop)]) == 2
    assert "no later basket holds two items that were sold before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--since", "2030-01-01"], "--since 2030-01-01T00:00:00: there must be baskets on both sides"),
        (["--since", "soon"], "--since soon: not a date or time; write 2024-05-31"),
        (["--since", "2024-01-01T02:00+02:00"], "--since 2024-01-01T00:00:00: there must be baskets on both sides"),
        (["--k", "0"], "--k 0: must be at least 1"),
    ],
)
def test_impossible_evaluations(data, capsys, words, message):
    assert main(["rules", "evaluate", "--data", str(data), *words]) == 2
    assert message in capsys.readouterr().err
