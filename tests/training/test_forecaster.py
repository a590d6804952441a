"""From a demand table to forecasts of an exported model, with real training of a tiny one."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.testing as npt
import polars as pl
import pytest
import tensorflow as tf

from data_pipelines.demand_panel import load_panel
from data_pipelines.schema import InputError
from serving.promotion import read_manifest
from supplytower import main
from tests.training.any_server import (
    assert_c_api_answers_golden_requests,
    assert_every_way_answers_with_the_same_bits,
    assert_only_core_operations,
)
from tests.training.demand_world import DAYS, FIRST, HORIZON, SETTINGS, WEEK, WORDS, write_demand
from training import runs
from training.backtest import backtest, choose_origins, lstm
from training.forecast_graph import day_number
from training.forecast_requests import make_requests
from training.forecaster_config import ForecasterConfig
from training.lstm_forecaster import LSTMForecaster
from training.train_forecaster import train, validation_origins

CONFIG = ForecasterConfig(**SETTINGS | {"members": 2})
LAST = "2021-09-16"  # 200 days from 2021-03-01 on


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demand")
    data = write_demand(folder)
    assert (
        main(["train", "forecaster", "--data", str(data), "--out", str(folder / "run"), *WORDS, "--set", "members=2"])
        == 0
    )
    assert main(["export", "forecaster", "--run", str(folder / "run"), "--models", str(folder / "models")]) == 0
    return folder


@pytest.fixture(scope="module")
def version(folder: Path) -> Path:
    return folder / "models" / "demand_forecaster" / "1"


def forecast_to(folder: Path, name: str, *words: str) -> int:
    source = ["--models", str(folder / "models"), "--data", str(folder / "data")]
    return main(["forecast", *source, "--out", str(folder / name), *words])


# --- training ------------------------------------------------------------------------------------------------------


def test_a_run_holds_what_is_needed_and_says_how_it_went(folder):
    run = folder / "run"
    record = runs.read_metrics(run)["training"]
    assert record["monitor"] == "wrmsse"
    assert record["validation"] == min(entry["wrmsse"] for entry in record["history"])
    assert record["validation"] < 1.0  # better than naive
    phases = {path.name for path in (run / "tensorboard").iterdir() if path.is_dir()}
    assert phases == {"search", "member_1", "member_2"}


def test_a_stopped_run_goes_on_to_the_very_same_weights(folder, tmp_path):
    config = ForecasterConfig(**SETTINGS | {"members": 2}, checkpoint_steps=3)
    train(folder / "data", tmp_path / "whole", config)

    def stop(round: int, figures: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder / "data", tmp_path / "stopped", config, after_round=stop)
    assert not (tmp_path / "stopped" / runs.MODEL).exists()
    train(folder / "data", tmp_path / "stopped", config, resume=True)
    with np.load(tmp_path / "whole" / runs.MODEL) as whole, np.load(tmp_path / "stopped" / runs.MODEL) as stopped:
        assert whole.files == stopped.files
        for name in whole.files:
            npt.assert_array_equal(whole[name], stopped[name])


def test_nothing_of_the_test_is_learnt_or_chosen_on(folder, tmp_path):
    # other demand in the test days: the same run
    table = pl.read_parquet(folder / "tables" / "demand.parquet")
    day = pl.col("ds").rank("dense").over("unique_id")
    moved = table.with_columns(y=pl.when(day > DAYS - HORIZON).then(pl.col("y") * 3 + 1).otherwise(pl.col("y")))
    data = write_demand(tmp_path, moved)
    train(data, tmp_path / "run", ForecasterConfig(**SETTINGS))
    train(folder / "data", tmp_path / "same", ForecasterConfig(**SETTINGS))
    with np.load(tmp_path / "run" / runs.MODEL) as one, np.load(tmp_path / "same" / runs.MODEL) as other:
        for name in one.files:
            npt.assert_array_equal(one[name], other[name])


def test_validation_windows_end_with_the_panel(folder):
    panel = load_panel(folder / "data", CONFIG).until(DAYS - HORIZON)
    assert validation_origins(panel, CONFIG) == [DAYS - 3 * HORIZON, DAYS - 2 * HORIZON]


def test_too_few_days_are_an_input_error(folder, tmp_path):
    config = ForecasterConfig(**SETTINGS | {"validation_windows": 20})
    with pytest.raises(InputError, match="validation_windows=20 needs at least 295"):
        train(folder / "data", tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


# --- the export ----------------------------------------------------------------------------------------------------


def test_the_manifest_says_what_the_version_is(version):
    manifest = read_manifest(version)
    assert (manifest["model"], manifest["horizon"], manifest["last_day"]) == ("demand_forecaster", HORIZON, LAST)
    assert manifest["categories"] == {"shop": ["north", "south"], "product": ["bread", "milk", "tea"]}
    assert manifest["verified"] == {"series": 6, "largest_difference": pytest.approx(0.0, abs=1e-4)}
    inputs = manifest["signatures"]["serving_default"]["inputs"]
    assert inputs["demand"] == {"dtype": "float32", "shape": [-1, -1]}
    assert inputs["start_date"] == {"dtype": "string", "shape": [-1]}
    assert inputs["promotion"] == {"dtype": "float32", "shape": [-1, -1]}
    assert inputs["shop"] == {"dtype": "string", "shape": [-1]}


def test_the_export_answers_in_the_runtime_under_tensorflow_serving(version):
    assert_c_api_answers_golden_requests(version)
    assert {"LookupTableFindV2", "MatMul"} <= assert_only_core_operations(version)


def test_every_protocol_gives_the_same_bits(version):
    assert_every_way_answers_with_the_same_bits(version)


def test_the_export_forecasts_what_the_run_does(folder, version):
    panel = load_panel(folder / "data", CONFIG).until(DAYS - HORIZON)
    forecaster = LSTMForecaster.load(folder / "run" / runs.MODEL)
    expected = forecaster.forecast(panel, 5)
    requests = make_requests(panel, forecaster.members[0].memory, 5)
    function = tf.saved_model.load(str(version)).signatures["serving_default"]
    answer = function(**{name: tf.constant(value) for name, value in requests.items()})
    npt.assert_allclose(answer["mean"], expected.mean, rtol=1e-4)
    npt.assert_allclose(answer["quantiles"], expected.quantiles, rtol=1e-4, atol=1e-4)


def test_a_new_product_of_an_unknown_category_is_forecast_from_one_day(version):
    function = tf.saved_model.load(str(version)).signatures["serving_default"]
    answer = function(
        demand=tf.constant([[3.0]]),
        start_date=tf.constant(["2021-09-16"]),
        horizon=tf.constant(HORIZON),
        promotion=tf.constant([[0.0]]),  # nothing is said of the days ahead
        shop=tf.constant(["north"]),
        product=tf.constant(["never seen"]),
    )
    assert answer["mean"].shape == (1, HORIZON)
    assert np.isfinite(answer["quantiles"]).all()


def test_a_longer_horizon_than_trained_is_refused_by_the_graph(version):
    function = tf.saved_model.load(str(version)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="longer than the model was trained"):
        function(
            demand=tf.constant([[3.0]]),
            start_date=tf.constant(["2021-09-16"]),
            horizon=tf.constant(HORIZON + 1),
            promotion=tf.constant([[0.0]]),
            shop=tf.constant(["north"]),
            product=tf.constant(["tea"]),
        )


@pytest.mark.parametrize("text", ["1970-01-01", "1969-12-31", "2000-02-29", "2017-12-31", "2100-03-01"])
def test_day_numbers_are_numpys(text):
    expected = np.datetime64(text).astype("datetime64[D]").astype(int)
    assert day_number(tf.constant([text])).numpy().tolist() == [expected]


# --- forecasts -----------------------------------------------------------------------------------------------------


def test_the_forecast_table(folder):
    assert forecast_to(folder, "f.parquet") == 0
    table = pl.read_parquet(folder / "f.parquet")
    levels = ["q0.05", "q0.1", "q0.25", "q0.5", "q0.75", "q0.9", "q0.95", "q0.99"]
    assert table.columns == ["unique_id", "ds", "y_hat", *levels]
    assert table.height == 6 * HORIZON
    assert str(table["ds"].min()) == "2021-09-17"
    assert (table["y_hat"] >= 0).all()
    assert (np.diff(table.select(levels).to_numpy(), axis=1) >= 0).all()
    assert (folder / "f.png").stat().st_size > 10_000
    # Saturdays sell most, and tea three times as much as bread
    by_day = table.with_columns(day=pl.col("ds").dt.weekday()).group_by("day").agg(pl.col("y_hat").mean()).sort("day")
    assert by_day["y_hat"].arg_max() == WEEK.argmax()
    size = {name: table.filter(pl.col("unique_id") == f"north/{name}")["y_hat"].sum() for name in ("bread", "tea")}
    assert size["tea"] / size["bread"] == pytest.approx(3.0, rel=0.3)


def test_a_shorter_horizon_as_csv(folder):
    assert forecast_to(folder, "f.csv", "--horizon", "3") == 0
    assert pl.read_csv(folder / "f.csv").height == 6 * 3


def test_days_held_back_are_forecast_as_if_they_were_not_known(folder):
    assert forecast_to(folder, "held.parquet", "--hold-back", "3", "--horizon", "2") == 0
    held = pl.read_parquet(folder / "held.parquet")
    assert [str(day) for day in held["ds"].unique().sort()] == ["2021-09-14", "2021-09-15"]
    panel = load_panel(folder / "data", CONFIG).until(DAYS - 3)
    expected = LSTMForecaster.load(folder / "run" / runs.MODEL).forecast(panel, 2).mean
    npt.assert_allclose(held["y_hat"].to_numpy().reshape(-1, 2), expected, rtol=1e-4)


def test_policies_are_replayed_on_the_days_that_the_model_has_not_seen(folder, version, capsys):
    sources = ["--models", str(folder / "models"), "--data", str(folder / "data")]
    assert main(["inventory", "simulate", *sources, "--out", str(folder / "simulation.parquet")]) == 0
    table = pl.read_parquet(folder / "simulation.parquet")
    demand = pl.read_parquet(folder / "data" / "demand.parquet").with_columns(pl.col("ds").cast(pl.Date))
    asked = demand.filter(pl.col("ds") > pl.col("ds").max() - timedelta(HORIZON))["y"].sum()
    assert table.filter(pl.col("policy") == "newsvendor")["demanded"].sum() == pytest.approx(asked)
    assert "less than seasonal-naive" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--horizon", "15"], "horizon 15: the model was trained for 1 to 14"),
        (["--version", "9"], "no version '9'"),
        (["--hold-back", "-1"], "--hold-back -1: must be at least 1"),
        (["--hold-back", "9999"], "--hold-back 9999: the data have"),
    ],
)
def test_what_cannot_be_forecast(folder, capsys, words, message):
    assert forecast_to(folder, "none.parquet", *words) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "none.parquet").exists()


# --- the backtest --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def summary(folder) -> dict:
    models = ("seasonal-naive", "weekday-mean", "lstm")
    return backtest(folder / "data", folder / "backtest", CONFIG, models, windows=2, mint=True)


def test_origins_are_one_horizon_apart_and_the_test_is_last(folder):
    panel = load_panel(folder / "data", CONFIG)
    origins = choose_origins(panel, CONFIG, 3)
    assert [(DAYS - origin.step) // HORIZON for origin in origins] == [4, 3, 2, 1]
    assert [origin.test for origin in origins] == [False, False, False, True]
    assert origins[0].day == str(FIRST + timedelta(days=DAYS - 4 * HORIZON))


def test_every_model_is_measured_and_the_choice_is_made_before_the_test(summary):
    models = summary["models"]
    assert set(models) == {"seasonal-naive", "weekday-mean", "lstm", "blend", "champion by class", "mint"}
    single = [name for name in models if models[name]["seconds"] is not None]
    assert summary["mint"] == min(single, key=lambda name: models[name]["validation"]["wrmsse"]["mean"])
    assert summary["champion"] == min(models, key=lambda name: models[name]["validation"]["wrmsse"]["mean"])
    assert models["weekday-mean"]["test"]["wrmsse"]["mean"] < models["seasonal-naive"]["test"]["wrmsse"]["mean"]
    assert sum(summary["blend"].values()) == pytest.approx(1.0)
    assert sum(one["series"] for one in summary["classes"].values()) == 6
    assert len(summary["seeds"]["test"]) == CONFIG.members
    assert len(models["lstm"]["test"]["by_step"]) == HORIZON
    assert len(models["lstm"]["test"]["by_weekday"]) == 7


def test_the_report_and_the_pictures_are_there(folder, summary):
    page = (folder / "backtest" / "report.html").read_text()
    assert "weekday-mean" in page
    assert page.count("data:image/png;base64,") == 2 * 6  # each picture for light and dark screens
    assert json.loads((folder / "backtest" / "backtest.json").read_text())["champion"] == summary["champion"]
    assert any((folder / "backtest" / "tensorboard").iterdir())


def test_a_backtest_goes_on_where_it_was_and_refuses_other_settings(folder, summary, monkeypatch):
    monkeypatch.setattr("training.backtest._fit", None)  # nothing is fitted again
    again = backtest(folder / "data", folder / "backtest", CONFIG, ("weekday-mean", "lstm"), windows=2)
    assert again["models"]["lstm"]["test"] == summary["models"]["lstm"]["test"]
    assert again["mint"] is None  # not asked for
    other = ForecasterConfig(**SETTINGS)
    with pytest.raises(InputError, match="holds a backtest with other settings"):
        backtest(folder / "data", folder / "backtest", other, ("lstm",), windows=2)


def test_a_backtest_looks_at_nothing_after_an_origin(folder):
    panel = load_panel(folder / "data", CONFIG)
    origin = DAYS - 2 * HORIZON
    moved = panel.demand.copy()
    moved[:, origin:] = 99.0
    known, other = (some.until(origin) for some in (panel, replace(panel, demand=moved)))
    npt.assert_array_equal(lstm(CONFIG).fit(known).predict(3).mean, lstm(CONFIG).fit(other).predict(3).mean)


def test_an_unknown_model_is_named(folder, capsys):
    words = ["--data", str(folder / "data"), "--out", str(folder / "none"), "--models", "lstm,oracle"]
    assert main(["backtest", *words]) == 2
    assert "--models oracle: unknown" in capsys.readouterr().err
