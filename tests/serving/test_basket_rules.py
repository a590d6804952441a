"""Reading what `supplytower rules mine` wrote."""

import polars as pl
import pytest

from data_pipelines.schema import InputError
from serving.basket_rules import read_bundles, read_rules
from tests.serving.basket_rules_folder import BUNDLES, RULES, write_bundles, write_rules


def test_rules_between_single_products_best_first(tmp_path):
    write_rules(tmp_path, RULES)
    found = read_rules(tmp_path)
    assert found.columns == ["rule", "antecedent", "antecedent_name", "consequent", "confidence", "lift"]
    assert found.select("rule", "consequent", "confidence").rows() == [
        (0, "item3", 0.6),
        (1, "item1", 0.5),
        (2, "item1", 0.3),
        (3, "item3", 0.2),
        (4, "gone", 0.1),
    ]
    assert read_rules(tmp_path / "rules.parquet").equals(found)


def test_bundles_of_products_lie_beside_the_rules(tmp_path):
    write_bundles(write_rules(tmp_path, RULES), BUNDLES)
    expected = [
        (["item0", "item1"], 3.5, 1.25, 40, 6.0),
        (["item0", "item2", "item3"], 9.0, None, 30, 5.0),
        (["item4", "item5"], None, None, 20, 4.0),
    ]
    assert read_bundles(tmp_path).rows() == read_bundles(tmp_path / "rules.parquet").rows() == expected


def test_folders_without_rules(tmp_path):
    remedy = r"cannot be read .*`supplytower rules mine --data DATA --out RULES`"
    with pytest.raises(InputError, match=rf"rules.parquet: {remedy}"):
        read_rules(tmp_path)
    with pytest.raises(InputError, match=rf"bundles.parquet: {remedy}"):
        read_bundles(tmp_path)
    with pytest.raises(InputError, match=r"holds no rules between products; mine with --level item"):
        read_rules(write_rules(tmp_path, RULES[-1:]))


def test_tables_that_are_none_of_rules(tmp_path):
    pl.DataFrame({"level": ["item"], "items": ["item0 item1"]}).write_parquet(tmp_path / "bundles.parquet")
    with pytest.raises(InputError, match=r"bundles.parquet: no column 'price'; it has level, items"):
        read_bundles(tmp_path)
    write_bundles(tmp_path, [("item", "item0 item1", 1.0, 1.0, 3, 2.0)])
    with pytest.raises(InputError, match=r"bundles.parquet: items holds String, not lists of ids; write it with"):
        read_bundles(tmp_path)
