"""Forecasts and orders over HTTP."""

import numpy as np
import polars as pl
import pytest

from serving.inventory.demand_distribution import from_quantiles
from supplytower import main

WEEK = {"series": [{"unique_id": "a", "start_date": "2026-01-01", "demand": [1, 2, 4]}], "horizon": 2}


def demand(gateway, body):
    return gateway.post("/v1/demand", json=body)


def test_series_of_different_lengths_are_forecast_together(gateway, fake):
    series = [
        {"unique_id": "a", "start_date": "2026-01-01", "demand": [1, None, 4]},
        {"unique_id": "b", "start_date": "2026-03-01", "demand": [3]},
    ]
    answer = demand(gateway, {"series": series, "horizon": 2}).json()
    # the fake goes on with the last value, times half, one and two
    assert answer == {
        "levels": [0.1, 0.5, 0.9],
        "series": [
            {"unique_id": "a", "start_date": "2026-01-04", "mean": [4, 4], "quantiles": [[2, 4, 8]] * 2},
            {"unique_id": "b", "start_date": "2026-03-02", "mean": [3, 3], "quantiles": [[1.5, 3, 6]] * 2},
        ],
    }
    asked = fake.asked[-1]
    assert asked["start_date"] == ["2026-01-01", "2026-03-01"]
    assert asked["step_days"] == 1  # the client places series of different lengths
    np.testing.assert_array_equal(asked["demand"][0], [1, np.nan, 4])
    assert asked["demand"][1] == [3]


def test_covariates_are_passed_on_by_name(gateway, fake):
    series = [
        {
            "unique_id": "a",
            "start_date": "2026-01-01",
            "demand": [1, 2],
            "covariates": {"price": [1, 1, 2, 2], "brand": "x", "day": ["m", "t", "w"]},
        },
        {
            "unique_id": "b",
            "start_date": "2026-01-02",
            "demand": [1],
            "covariates": {"price": [None, 3, 3], "brand": "y", "day": ["m", "t", "w"]},
        },
    ]
    assert demand(gateway, {"series": series, "horizon": 2}).status_code == 200
    covariates = fake.asked[-1]["covariates"]
    assert covariates["brand"] == ["x", "y"]
    assert covariates["price"][0] == [1, 1, 2, 2]
    np.testing.assert_array_equal(covariates["price"][1], [np.nan, 3, 3])
    assert covariates["day"] == [["m", "t", "w"], ["m", "t", "w"]]
    del series[1]["covariates"]["day"]
    answer = demand(gateway, {"series": series})
    assert answer.json()["detail"][0]["msg"] == "all series need the same: brand, day, price"
    series[1]["covariates"]["day"] = "m"
    assert demand(gateway, {"series": series}).json()["detail"][0]["msg"] == "must be of the same kind in all series"


def test_what_the_model_takes_and_nobody_gave_is_of_the_catalogue_or_unknown(gateway, fake):
    fake.inputs |= {
        "brand": ("string", (-1,)),
        "price": ("float32", (-1, -1)),
        "weather": ("string", (-1, -1)),
        "kind": ("string", (-1,)),
    }
    series = [
        {"unique_id": name, "start_date": "2026-01-01", "demand": [1], "covariates": {"kind": "own"}}
        for name in ("item1", "unheard-of")
    ]
    assert demand(gateway, {"series": series}).status_code == 200
    covariates = fake.asked[-1]["covariates"]
    np.testing.assert_array_equal(covariates.pop("price"), [[np.nan], [np.nan]])
    assert covariates == {"brand": ["south", ""], "weather": [[""], [""]], "kind": ["own", "own"]}


def test_a_forecast_that_is_no_number_is_the_models_fault(gateway, fake):
    fake.unknown = float("nan")
    one = {"unique_id": "a", "start_date": "2026-01-01", "demand": [None]}
    assert demand(gateway, {"series": [one]}).status_code == 502
    assert gateway.post("/v1/inventory/plan", json={"products": [one]}).status_code == 502


@pytest.mark.parametrize(
    "change",
    [
        {"horizon": 0},
        {"horizon": 367},
        {"series": []},
        {"series": [{"unique_id": "a", "start_date": "2026-01-01", "demand": []}]},
        {"series": [{"unique_id": "a", "start_date": "2026-01-01", "demand": [-1]}]},
        {"series": [{"unique_id": "a", "start_date": "31.1.2026", "demand": [1]}]},
        {"series": [{"unique_id": "a", "start_date": "9999-12-31", "demand": [1]}]},
        {"series": [{"unique_id": "a", "start_date": "2026-01-01", "demand": [1] * 2001}]},
        {"series": [{"unique_id": "a", "start_date": "2026-01-01", "demand": ["1e400"]}]},
        {"series": WEEK["series"] * 1001},
    ],
)
def test_wrong_demand_is_refused(gateway, fake, change):
    assert demand(gateway, {**WEEK, **change}).status_code == 422
    assert not fake.asked


# --- orders ---

DAYS, LEVELS = 10, (0.1, 0.5, 0.9)
STOCK = {"on_hand": 5.0, "lead_time_days": 2, "unit_cost": 2.0, "price": 4.0, "pack_size": 6}


def product(name: str, **more):
    return {"unique_id": name, "quantiles": [[1, 3, 6], *[[0, 2, 5]] * (DAYS - 1)], **STOCK, **more}


def plan(gateway, **body):
    return gateway.post("/v1/inventory/plan", json={"levels": LEVELS, "first_day": "2026-02-01", **body})


def test_orders_are_those_of_the_command(gateway, tmp_path):
    products = [product("a"), product("b", on_hand=0, pack_size=1), product("c", on_hand=500)]
    answer = plan(gateway, products=products, settings={"order_cost": 3.0}).json()
    names = [f"q{level}" for level in LEVELS]
    days = pl.date_range(pl.date(2026, 2, 1), pl.date(2026, 2, DAYS), eager=True)
    means = from_quantiles(LEVELS, np.array([one["quantiles"] for one in products], float)).mean()
    rows = [
        {"unique_id": one["unique_id"], "ds": day, "y_hat": mean, **dict(zip(names, values, strict=True))}
        for one, mean_by_day in zip(products, means, strict=True)
        for day, mean, values in zip(days, mean_by_day, one["quantiles"], strict=True)
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "f.parquet")
    pl.DataFrame([{k: v for k, v in one.items() if k != "quantiles"} for one in products]).write_parquet(
        tmp_path / "s.parquet"
    )
    words = [
        "--forecast",
        tmp_path / "f.parquet",
        "--stock",
        tmp_path / "s.parquet",
        "--out",
        tmp_path / "plan.parquet",
    ]
    assert main(["inventory", "plan", *map(str, words), "--set", "order_cost=3.0"]) == 0
    expected = pl.read_parquet(tmp_path / "plan.parquet").drop("name").to_dicts()
    assert [one["unique_id"] for one in answer["orders"]] == [one["unique_id"] for one in expected]
    for found, wanted in zip(answer["orders"], expected, strict=True):
        for name, value in wanted.items():
            told = value.isoformat() if name == "next_review" else value
            assert found[name] == (pytest.approx(told) if isinstance(told, float) else told), name
    by_id = {one["unique_id"]: one for one in answer["orders"]}
    assert by_id["c"]["order"] == 0
    assert by_id["a"]["order"] % 6 == 0
    assert by_id["b"]["order"] > by_id["a"]["order"] - 6 > 0


def test_demand_is_forecast_first(gateway, fake):
    one = {"unique_id": "a", "start_date": "2026-01-01", "demand": [4, 4], **STOCK}
    answer = gateway.post("/v1/inventory/plan", json={"products": [one], "horizon": 7})
    assert answer.status_code == 200, answer.text
    assert fake.asked[-1]["horizon"] == 7
    assert answer.json()["orders"][0]["order"] > 0


def test_a_budget_cuts_the_orders(gateway):
    products = [product("a", on_hand=0), product("b", on_hand=0)]
    free = plan(gateway, products=products).json()["orders"]
    needed = sum(one["order_value"] for one in free)
    cut = plan(gateway, products=products, budget=needed / 2).json()["orders"]
    assert 0 < sum(one["order_value"] for one in cut) <= needed / 2


def test_what_had_to_be_assumed_is_told(gateway):
    bare = {"unique_id": "a", "quantiles": [[0, 1, 2]] * DAYS}
    notices = plan(gateway, products=[bare]).json()["notices"]
    assert "products does not say on_hand of 1 products: 0 is taken" in notices


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"products": [product("a"), product("a")]}, "unique_id 'a' is there twice"),
        ({"products": [product("a", lead_time_days=10)]}, "only 10 days are forecast"),
        ({"products": [product("a", moq=50, capacity=10)]}, "the smallest order of 'a'"),
        ({"products": [product("a")], "levels": None}, "give the levels of the quantiles"),
        ({"products": [product("a")], "levels": [0.5, 0.1, 0.9]}, "give the levels of the quantiles"),
        ({"products": [product("a")], "levels": [0.1, 0.9]}, "give 10 days of 2 quantiles"),
        ({"products": [product("a", quantiles=[[1, 2, 3]])]}, "give 2 to 366 days"),
        ({"products": [product("a"), {"unique_id": "b", "start_date": "2026-01-01", "demand": [1]}]}, "for all"),
        ({"products": [{"unique_id": "b", "demand": [1]}]}, "demand needs its start_date"),
        ({"products": [{"unique_id": "b"}]}, "give either quantiles or demand"),
        ({"products": [product("a")], "settings": {"margn": 0.1}}, "did you mean 'margin'"),
        ({"products": [product("a")], "settings": {"service_level": 1.5}}, "must be below 1"),
        ({"products": [product("a", on_hand=90)], "volume": 50}, "volume 50: what is in stock"),
        ({"products": [product("a", on_hand=-1)]}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_planned_is_told(gateway, body, message):
    answer = plan(gateway, **body)
    assert answer.status_code == 422
    assert message in answer.json()["detail"][0]["msg"]
