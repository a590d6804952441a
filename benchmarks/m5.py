"""Forecast the M5 competition's 28 days at levels 1 to 9, to be scored by an independent referee.

    python -m benchmarks.m5 --input INPUT --out OUT

INPUT holds `demand.parquet`, 70 daily series of store and department (levels 1 to 9 are sums of them). All choices,
the blend's weights included, are made by a backtest on windows that end before the competition's. Then every model is
fitted on all days and forecasts the 28 days after them: one file per model (and member of the LSTM) in OUT, with
unique_id, ds and y_hat.

The events of those days are from the calendar that the competition gave to everybody; SNAP days follow the day of the
month.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from data_pipelines import atomic
from data_pipelines import console as terminal
from data_pipelines.config import resolve
from data_pipelines.demand_panel import load_panel
from data_pipelines.prepare import PrepareConfig, prepare
from data_pipelines.schema import DS, UNIQUE_ID
from models.forecasting.blend import Blend
from models.forecasting.registry import FORECASTERS
from training.backtest import backtest, lstm
from training.backtest_report import console_table
from training.backtest_summary import BLEND, LSTM
from training.forecast import to_table
from training.forecaster_config import ForecasterConfig

HORIZON = 28
LAST_DAY = date(2016, 4, 24)
EVENTS = {
    date(2016, 4, 30): ("Pesach End", "Religious"),
    date(2016, 5, 1): ("OrthodoxEaster", "Religious"),
    date(2016, 5, 5): ("Cinco De Mayo", "Cultural"),
    date(2016, 5, 8): ("Mother's day", "Cultural"),
}
MODELS = ("seasonal-naive", "weekday-mean", "lightgbm", "xgboost", LSTM)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare, choose, forecast and write."""
    parser = terminal.command_parser(
        "python -m benchmarks.m5",
        "Forecast the M5 competition's 28 days at levels 1 to 9.",
        examples=["python -m benchmarks.m5 --input m5_levels_1_to_9 --out build/m5"],
    )
    parser.add_argument("--input", type=Path, required=True, help="folder with demand.parquet")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the LSTM")
    arguments = parser.parse_args(argv)
    out: Path = arguments.out
    config = resolve(ForecasterConfig, file=Path(__file__).with_name("m5.yaml"), overrides=arguments.set)
    data = write_data(arguments.input, out)
    summary = backtest(data, out / "backtest", config, MODELS)
    terminal.console.print(console_table(summary))
    panel = load_panel(data, replace(config, test_days=0))
    forecasts = {}
    for name in MODELS:
        with terminal.console.status(name):
            forecaster = FORECASTERS.get(name, lambda: lstm(config))().fit(panel)
            forecasts[name] = forecaster.predict(HORIZON)
    forecasts[BLEND] = Blend({"": summary["blend"]}).combine(forecasts)
    members = forecaster.predict_members(HORIZON)  # the LSTM is the last
    forecasts |= {f"{LSTM}-{i}": replace(forecasts[LSTM], mean=mean) for i, mean in enumerate(members, start=1)}
    for name, forecast in forecasts.items():
        with atomic.replace_file(out / f"{name}.parquet") as temporary:
            to_table(panel, forecast).write_parquet(temporary)
    terminal.console.print(f"chosen before: {summary['champion']}; wrote {len(forecasts)} forecasts to {out}")
    return 0


def write_data(folder: Path, out: Path) -> Path:
    """Prepare the series with the calendar of the days that are forecast."""
    tables = out / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    demand = pl.read_parquet(folder / "demand.parquet")
    demand.write_parquet(tables / "demand.parquet")
    days = [LAST_DAY + timedelta(days=number) for number in range(1, HORIZON + 1)]
    ahead = pl.DataFrame(
        {
            DS: days,
            "event": [EVENTS.get(day, (None, None))[0] for day in days],
            "event_type": [EVENTS.get(day, (None, None))[1] for day in days],
        }
    )
    snap = demand.with_columns(day=pl.col(DS).dt.day()).sort(DS).group_by(UNIQUE_ID, "day").agg(pl.col("snap").last())
    future = demand.select(UNIQUE_ID).unique().join(ahead, how="cross").with_columns(day=pl.col(DS).dt.day())
    future = future.join(snap, on=[UNIQUE_ID, "day"], how="left").drop("day")
    future.sort(UNIQUE_ID, DS).write_parquet(tables / "future.parquet")
    prepare("tables", tables, out / "data", PrepareConfig())
    return out / "data"


if __name__ == "__main__":
    raise SystemExit(terminal.run(main))
