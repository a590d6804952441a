"""What a backtest shows: a table on the console, an HTML page, and the same pictures in TensorBoard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from rich import box
from rich.table import Table

from data_pipelines import atomic
from data_pipelines.figures import LIGHT
from data_pipelines.panel import Panel
from data_pipelines.report_page import render_page
from training.backtest_summary import Kepts, Origin
from training.demand_plots import Series, pictures, series_with_forecasts

TEMPLATE = Path(__file__).with_name("backtest.html.jinja")
REPORT, TENSORBOARD = "report.html", "tensorboard"
COLUMNS = {
    "WRMSSE": ("wrmsse", "mean"),
    "WAPE": ("wape",),
    "MASE": ("mase",),
    "RMSSE": ("rmsse",),
    "bias": ("bias",),
    "pinball": ("pinball",),
    "80 % covers": ("coverage_80",),
    "…randomised": ("coverage_80_randomised",),
    "width": ("sharpness_80",),
}
CONSOLE = ("WRMSSE", "WAPE", "bias", "pinball", "80 % covers")
"""Columns that a narrow terminal has room for."""
TYPICAL = 6


def figure(measured: dict[str, Any], path: Sequence[str]) -> float:
    """One figure of a model."""
    value: Any = measured
    for key in path:
        value = value[key]
    return float("nan") if value is None else float(value)


def console_table(summary: dict[str, Any]) -> Table:
    """Every model in a row, the best on the earlier origins first; the test beside it."""
    last = summary["origins"][-1]["day"]
    caption = (
        f"{summary['series']:,} series, {ahead(summary)}; chosen on {len(summary['origins']) - 1} "
        f"earlier origins: {summary['champion']} (bold); figures of the test from {last}; ★ best in the test"
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    table.add_column("model", no_wrap=True)
    table.add_column("WRMSSE\nearlier", justify="right")
    for name in CONSOLE:
        table.add_column(f"{name}\ntest" if name == "WRMSSE" else name.replace(" covers", "\ncovers"), justify="right")
    table.add_column("seconds", justify="right")
    models = summary["models"]
    best = {
        name: min(figure(one["test"], COLUMNS[name]) for one in models.values())
        for name in ("WRMSSE", "WAPE", "pinball")
    }
    for name in by_validation(summary):
        one = models[name]
        values = {column: figure(one["test"], COLUMNS[column]) for column in CONSOLE}
        cells = [f"{value:.3f}{'★' if best.get(column) == value else ' '}" for column, value in values.items()]
        seconds = "–" if one["seconds"] is None else f"{one['seconds']:.1f}"
        style = "bold cyan" if name == summary["champion"] else ""
        table.add_row(name, f"{one['validation']['wrmsse']['mean']:.3f}", *cells, seconds, style=style)
    return table


def ahead(summary: dict[str, Any]) -> str:
    """How far forecasts reach: `28 days ahead`."""
    return f"{summary['horizon']} {'days' if summary['step_days'] == 1 else 'weeks'} ahead"


def seed_spread(summary: dict[str, Any]) -> str:
    """How much the LSTM's WRMSSE of the test depends on the seed: its members alone, their mean and deviation."""
    errors = summary["seeds"]["test"]
    members = ", ".join(f"{one:.3f}" for one in errors)
    return (
        f"Members of the LSTM alone, WRMSSE of the test: {members}; "
        f"mean {np.mean(errors):.3f}, standard deviation {np.std(errors, ddof=1):.3f}"
    )


def by_validation(summary: dict[str, Any]) -> list[str]:
    """Model names, the best on the earlier origins first."""
    models = summary["models"]
    return sorted(models, key=lambda name: models[name]["validation"]["wrmsse"]["mean"])


def write_report(
    out: Path,
    summary: dict[str, Any],
    panel: Panel,
    origins: Sequence[Origin],
    kept: Kepts,
    *,
    names: Sequence[str],
    config: str,
) -> None:
    """Write the HTML page and TensorBoard's images."""
    drawn = pictures(summary, typical_series(summary, panel, origins[-1], kept, names))
    page = render_page(
        TEMPLATE,
        drawn,
        s=summary,
        order=by_validation(summary),
        columns=COLUMNS,
        figure=figure,
        ahead=ahead,
        seed_spread=seed_spread,
        config=config,
    )
    atomic.write_text(out / REPORT, page)
    writer = tf.summary.create_file_writer(str(out / TENSORBOARD))
    with writer.as_default(step=0):
        for picture in drawn:
            tf.summary.image(picture.title, tf.io.decode_png(picture.draw(LIGHT), channels=4)[None])
        for name, one in summary["models"].items():
            tf.summary.scalar(f"wrmsse/{name}", one["test"]["wrmsse"]["mean"])
    writer.close()


def typical_series(
    summary: dict[str, Any], panel: Panel, test: Origin, kept: Kepts, names: Sequence[str]
) -> list[Series]:
    """Series of different size, with the forecast of the model that was chosen, or the last one where that is mixed."""
    available = kept[test.step]
    name = summary["champion"] if summary["champion"] in available else list(available)[-1]
    sold = np.nansum(panel.demand[:, : test.step], axis=1)
    order = np.argsort(-sold, kind="stable")
    places = np.unique(np.geomspace(1, len(order), min(TYPICAL, len(order))).astype(int) - 1)
    return series_with_forecasts(panel, order[places], test.step, available[name].forecast, names, name)
