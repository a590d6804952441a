"""What is about to go wrong in stock: `supplytower inventory monitor`.

    stock-out      the chance that a product runs out before an order of today can arrive
    overstock      what is there and under way lasts longer than anybody wants to hold it
    forecast-off   the forecast is far from what was asked for lately: either it knows something, or it is wrong
    dead-stock     in stock, and nobody asked for it for a long time

The last two need to know what was asked for: they look into the data folder, or into --demand.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.result_table import require_table, write_table
from data_pipelines.schema import UNIQUE_ID, InputError
from serving.inventory.demand_distribution import FloatArray
from serving.inventory.plan import chance_of_more
from serving.inventory.sources import Sources, add_sources, demand_table, load
from serving.inventory.stock_table import StockDefaults

KINDS = ("stock-out", "overstock", "forecast-off", "dead-stock")
SEVERITIES = ("critical", "warning", "notice")
SHOWN, WIDE = 20, 120


@dataclass(frozen=True)
class MonitorSettings(StockDefaults):
    """When to raise an alarm, and what holds where the stock table says nothing."""

    stockout_warning: float = 0.2
    """Chance of running out before an order of today can arrive that is a warning."""
    stockout_critical: float = 0.5
    """Chance that is critical."""
    overstock_days: float = 60.0
    """Days of demand in stock and on order that are too many; twice as many are a warning, fewer a notice."""
    forecast_factor: float = 2.0
    """How many times more (or less) than lately may be forecast."""
    least_units: float = 10.0
    """Units that forecast and demand of 28 days must differ by at least: small numbers double by chance."""
    recent_days: int = 28
    """Days that "lately" means."""
    dead_days: int = 84
    """Days without demand after which what is in stock is dead."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        super().__post_init__()
        if not 0 < self.stockout_warning <= self.stockout_critical <= 1:
            raise InputError(
                f"stockout_warning={self.stockout_warning:g}, stockout_critical={self.stockout_critical:g}: must rise, "
                "above 0 and up to 1"
            )
        if self.recent_days < 1 or self.dead_days < 1 or self.forecast_factor <= 1:
            raise InputError("recent_days and dead_days must be at least 1, forecast_factor above 1")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower inventory monitor",
        "List what is about to go wrong in stock, the worst first.",
        examples=[
            "supplytower inventory monitor --models build/models --data build/data --stock stock.csv",
            "supplytower inventory monitor --forecast forecast.parquet --stock stock.csv --demand demand.csv --json",
            "supplytower inventory monitor --forecast forecast.parquet --stock stock.csv --out alerts.csv",
        ],
        settings=describe(MonitorSettings),
    )
    add_sources(parser)
    parser.add_argument(
        "--demand", type=Path, help="table of what was asked for: unique_id, ds, y (default: of --data)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on standard output instead of a table")
    parser.add_argument("--out", type=Path, help="also write a table, .parquet or .csv")
    arguments = parser.parse_args(argv)
    if arguments.out is not None:
        require_table(arguments.out)
    settings = resolve(MonitorSettings, file=arguments.config, overrides=arguments.set)
    demand = demand_table(arguments)
    sources = load(arguments, settings, demand)
    recent = None if demand is None else recent_demand(sources, demand, settings)
    table = find_alerts(sources, settings, recent)
    if arguments.out is not None:
        write_table(table, arguments.out)
    for notice in sources.notices():
        terminal.console.print(f"Note: {notice}", soft_wrap=True)
    if recent is None:
        terminal.console.print("Note: no --demand: forecast-off and dead-stock are not looked for")
    if arguments.json:
        print(json.dumps(table.to_dicts(), indent=2))
    else:
        _show(table, len(sources.names))
    return 0


@dataclass(frozen=True)
class Recent:
    """What was asked for before the forecast.

    Args:
        mean: `[n]` units a day lately.
        silent_days: `[n]` days since the last demand; as long as is known if there was none.
    """

    mean: FloatArray
    silent_days: FloatArray


def recent_demand(sources: Sources, path: Path, settings: MonitorSettings) -> Recent:
    """Look at what was asked for before the forecast begins.

    Raises:
        InputError: if nothing of it is known.
    """
    past, step = sources.past, sources.forecast.step_days
    if not (known := past.shape[1]):
        raise InputError(f"{path}: has no demand before {sources.forecast.days[0]}, where the forecast begins")
    lately = past[:, -max(settings.recent_days // step, 1) :]
    asked = past[:, ::-1] > 0
    silent = np.where(asked.any(axis=1), asked.argmax(axis=1), known) * step
    return Recent(lately.mean(axis=1) / step, silent.astype(float))


def find_alerts(sources: Sources, settings: MonitorSettings, recent: Recent | None = None) -> pl.DataFrame:
    """Everything that is or will be wrong, the worst first.

    Args:
        sources: forecast and stock.
        settings: when to raise an alarm.
        recent: what was asked for lately, if that is known.

    Returns:
        unique_id, name, kind, severity, value (a chance, days, a ratio, days) and message.
    """
    shop, forecast, step = sources.stock.shop, sources.forecast, sources.forecast.step_days
    ids = np.array([forecast.ids, sources.names])
    position = shop.position
    demand = forecast.distribution()
    daily = forecast.mean.mean(axis=1) / step
    chance = chance_of_more(demand.sums(np.maximum(shop.terms.lead_time, 1), starts=1), position)
    chance[shop.terms.lead_time == 0] = 0.0  # an order of today is there at once
    critical = chance >= settings.stockout_critical
    parts = [
        _alerts(
            ids,
            "stock-out",
            chance >= settings.stockout_warning,
            np.where(critical, "critical", "warning"),
            chance,
            [
                f"runs out with {c:.0%} before an order of today arrives ({d} days); {_units(p)} there and under way"
                for c, d, p in zip(chance, shop.terms.lead_time * step, position, strict=True)
            ],
        )
    ]
    cover = np.where(position > 0, position / np.maximum(daily, 1e-9), 0.0)
    parts.append(
        _alerts(
            ids,
            "overstock",
            cover > settings.overstock_days,
            np.where(cover > 2 * settings.overstock_days, "warning", "notice"),
            np.minimum(cover, 9_999.0),
            [f"{_units(p)} last {min(c, 9_999):,.0f} days" for p, c in zip(position, cover, strict=True)],
        )
    )
    if recent is not None:
        ratio = daily / np.maximum(recent.mean, 1e-9)
        far = (ratio > settings.forecast_factor) | (ratio < 1.0 / settings.forecast_factor)
        far &= np.abs(daily - recent.mean) * 28 >= settings.least_units
        parts.append(
            _alerts(
                ids,
                "forecast-off",
                far,
                np.full(len(daily), "warning"),
                np.minimum(ratio, 9_999.0),
                [
                    f"{_rate(d)} a day are forecast, {_rate(r)} were asked for lately"
                    for d, r in zip(daily, recent.mean, strict=True)
                ],
            )
        )
        dead = (shop.on_hand > 0) & (recent.silent_days >= settings.dead_days)
        parts.append(
            _alerts(
                ids,
                "dead-stock",
                dead,
                np.full(len(daily), "warning"),
                recent.silent_days,
                [
                    f"{_units(s)} in stock, not asked for in {d:.0f} days"
                    for s, d in zip(shop.on_hand, recent.silent_days, strict=True)
                ],
            )
        )
    order = {name: place for place, name in enumerate(SEVERITIES)}
    table = pl.concat(parts)
    rank = pl.col("severity").replace_strict(order, return_dtype=pl.Int8)
    return table.sort(rank, "kind", -pl.col("value"), UNIQUE_ID)


def _units(number: float) -> str:
    return f"{number:,.0f} units"


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _alerts(
    ids: npt.NDArray[np.str_],
    kind: str,
    raised: npt.NDArray[np.bool_],
    severity: npt.NDArray[np.str_],
    value: FloatArray,
    message: list[str],
) -> pl.DataFrame:
    """Rows of one kind, for the products where it is raised."""
    table = pl.DataFrame(
        {
            UNIQUE_ID: pl.Series(ids[0], dtype=pl.String),
            "name": pl.Series(ids[1], dtype=pl.String),
            "kind": kind,
            "severity": pl.Series(severity, dtype=pl.String),
            "value": value,
            "message": message,
        }
    )
    return table.filter(pl.Series(raised))


def _show(table: pl.DataFrame, products: int) -> None:
    output = terminal.output(WIDE)
    shown = Table("severity", "kind", "product", "what", box=None, pad_edge=False)
    for row in table.head(SHOWN).iter_rows(named=True):
        shown.add_row(row["severity"], row["kind"], row["name"], row["message"])
    if table.height:
        output.print(shown)
    counts = dict(table["kind"].value_counts().iter_rows())
    said = ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS if kind in counts) or "nothing is wrong"
    more = f"; {table.height - SHOWN:,} more are not shown, see --out or --json" if table.height > SHOWN else ""
    terminal.console.print(f"{products:,} products: {said}{more}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
