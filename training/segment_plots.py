"""Pictures of customer segments: sizes, what distinguishes each, recency, frequency, spend, times of day, quality."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, NullLocator

from data_pipelines.customer_features import DAY_PARTS
from data_pipelines.figures import Picture, Theme, legend_above, new_figure, png
from data_pipelines.schema import FREQUENCY, MONETARY, RECENCY_DAYS, SEGMENT_ID
from models.segment_names import effects_of
from models.traits import trait_of
from training.profile_folder import Profiles
from training.segment_customers import NOT_BOUGHT_ID, standardised

ROW_INCHES = 0.42
NAME_WIDTH = 30
STRONG = 1.5
"""Effect in standard deviations that has the full colour."""
RFM = {RECENCY_DAYS: "days since the last basket", FREQUENCY: "baskets", MONETARY: "spend"}


def segment_pictures(profiles: Profiles) -> list[Picture]:
    """The pictures of a profile page."""
    pictures = [
        Picture(
            "Customers and spend",
            "Share of the customers, and of what they spend, in every segment.",
            lambda theme: _sizes(profiles, theme),
        ),
        Picture(
            "What distinguishes them",
            "How much more (green) or less (orange) each segment does than all who bought, in standard deviations. The "
            "strongest make the names.",
            lambda theme: _traits(profiles, theme),
        ),
        Picture(
            "Recency, frequency, spend",
            "Median (line), half (box) and four in five (whiskers) of the customers of a segment; each step of the "
            "scale is ten times the one before.",
            lambda theme: _rfm(profiles, theme),
        ),
        Picture("When they come", "Baskets by the shop's time of day.", lambda theme: _day_parts(profiles, theme)),
    ]
    if len(profiles.summary["quality"]["candidates"]) > 1:
        pictures.append(
            Picture(
                "How many segments",
                "Chosen (dot) is the most distinct number among those that resampling finds again.",
                lambda theme: _quality(profiles, theme),
            )
        )
    return pictures


def _label(profiles: Profiles, ids: Sequence[int]) -> list[str]:
    names = {one["id"]: one["name"] for one in profiles.summary["segments"]}
    return [fill(f"{number}  {names[number]}", NAME_WIDTH) for number in ids]


def _rows(axis: Axes, labels: Sequence[str]) -> None:
    """Segments from top to bottom."""
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")


def _sizes(profiles: Profiles, theme: Theme) -> bytes:
    segments = profiles.summary["segments"]
    figure, (axis,) = new_figure(theme, 0.9 + 1.3 * ROW_INCHES * len(segments))
    place = np.arange(len(segments))
    spend = [one["spend_share"] or 0.0 for one in segments]
    axis.barh(place - 0.19, [100 * one["share"] for one in segments], 0.36, color=theme.model, label="customers")
    if any(spend):
        axis.barh(place + 0.19, [100 * share for share in spend], 0.36, color=theme.rival, label="spend")
    _rows(axis, _label(profiles, [one["id"] for one in segments]))
    axis.set_xlabel("percent")
    legend_above(axis, theme)
    return png(figure)


def _traits(profiles: Profiles, theme: Theme) -> bytes:
    clusters = sorted(profiles.clusters, key=lambda one: one["id"])
    bought = profiles.table.filter(pl.col(SEGMENT_ID) != NOT_BOUGHT_ID)
    place = {one["id"]: row for row, one in enumerate(clusters)}
    label = bought[SEGMENT_ID].replace_strict(list(place), list(place.values()), return_dtype=pl.Int64).to_numpy()
    effects = effects_of(standardised(bought, profiles.scale), label, len(clusters)).T
    names = [trait_of(name).high for name in profiles.scale.names]
    figure, (axis,) = new_figure(theme, 1.2 + 0.24 * len(names))
    colours = LinearSegmentedColormap.from_list("effect", [theme.rival, theme.background, theme.model])
    axis.imshow(effects, aspect="auto", cmap=colours, vmin=-STRONG, vmax=STRONG)
    for (row, column), effect in np.ndenumerate(effects):
        axis.text(
            column, row, f"{round(effect, 1) + 0.0:+.1f}", ha="center", va="center", fontsize=7.5, color=theme.text
        )
    axis.set_yticks(range(len(names)), names)
    axis.set_xticks(range(len(clusters)), [str(one["id"]) for one in clusters])
    axis.set_xlabel("segment")
    axis.xaxis.set_label_position("top")
    axis.xaxis.tick_top()
    axis.grid(visible=False)
    return png(figure)


def _rfm(profiles: Profiles, theme: Theme) -> bytes:
    ids = sorted(one["id"] for one in profiles.clusters)
    known = [name for name in RFM if profiles.table[name].count()]
    figure, axes = new_figure(theme, 0.9 + ROW_INCHES * len(ids), len(known), share_y=True)
    for axis, name in zip(axes, known, strict=True):
        boxes = []
        for number in ids:
            values = profiles.table.filter(pl.col(SEGMENT_ID) == number)[name].drop_nulls().to_numpy()
            values = values.clip(0.1) if len(values) else np.array([np.nan])  # no box
            low, first, median, third, high = np.quantile(values, [0.1, 0.25, 0.5, 0.75, 0.9])
            boxes.append({"whislo": low, "q1": first, "med": median, "q3": third, "whishi": high})
        line = {"color": theme.muted}
        axis.bxp(
            boxes,
            positions=range(len(ids)),
            orientation="horizontal",
            showfliers=False,
            widths=0.55,
            patch_artist=True,
            boxprops={"facecolor": theme.model, "alpha": 0.6, "linewidth": 0},
            medianprops={"color": theme.rival, "linewidth": 2},
            whiskerprops=line,
            capprops=line,
        )
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlabel(RFM[name])
        axis.grid(visible=False, axis="y")
    axes[0].set_yticks(range(len(ids)), [str(number) for number in ids])
    axes[0].set_ylabel("segment")
    axes[0].invert_yaxis()
    return png(figure)


def _day_parts(profiles: Profiles, theme: Theme) -> bytes:
    clusters = sorted(profiles.clusters, key=lambda one: one["id"])
    figure, (axis,) = new_figure(theme, 0.9 + ROW_INCHES * len(clusters))
    left = np.zeros(len(clusters))
    for (name, (first, end)), colour in zip(
        DAY_PARTS.items(), (theme.text, theme.rival, theme.model, theme.muted), strict=True
    ):
        share = 100 * np.array([one["means"][name] for one in clusters])
        axis.barh(range(len(clusters)), share, 0.6, left=left, color=colour, label=f"{first} to {end} h")
        left += share
    _rows(axis, [str(one["id"]) for one in clusters])
    axis.set_xlabel("percent of baskets")
    axis.set_ylabel("segment")
    axis.set_xlim(0, 100)
    axis.legend(frameon=False, fontsize=8.5, labelcolor=theme.text, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    return png(figure)


def _quality(profiles: Profiles, theme: Theme) -> bytes:
    quality = profiles.summary["quality"]
    figure, axes = new_figure(theme, 2.2, 2)
    for axis, what in zip(axes, ("silhouette", "stability"), strict=True):
        tried = quality["candidates"]
        numbers = [one["segments"] for one in tried]
        axis.plot(numbers, [one[what] for one in tried], color=theme.model, marker=".", linewidth=1.6)
        axis.plot([quality["segments"]], [quality[what]], "o", color=theme.rival, markersize=8)
        axis.set_xlabel("segments")
        axis.set_title(what, loc="left", color=theme.text, fontsize=9.5)
        axis.set_xticks(numbers)
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    return png(figure)
