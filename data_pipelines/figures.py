"""Figures of reports: the colours of light and dark screens, empty figures in them, PNG bytes."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

WIDTH_INCHES, DPI = 5.4, 170


@dataclass(frozen=True)
class Theme:
    """Colours of one screen mode; `model` is what is reported on, `rival` its best baseline."""

    background: str
    text: str
    grid: str
    muted: str
    model: str
    rival: str


LIGHT = Theme("#ffffff", "#1f2933", "#e4e7eb", "#9aa5b1", "#0f766e", "#c2410c")
DARK = Theme("#161b22", "#e6edf3", "#30363d", "#768390", "#2dd4bf", "#fb923c")


@dataclass(frozen=True)
class Picture:
    """A picture that can be drawn in any theme."""

    title: str
    caption: str
    draw: Callable[[Theme], bytes]


def new_figure(
    theme: Theme, height: float, columns: int = 1, *, rows: int = 1, share_y: bool = False
) -> tuple[Figure, Sequence[Axes]]:
    """An empty figure of a theme and its axes, row by row."""
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, facecolor=theme.background, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(rows, columns, squeeze=False, sharey=share_y).ravel().tolist()
    for axis in axes:
        axis.set_facecolor(theme.background)
        axis.tick_params(colors=theme.text, labelsize=9, length=0)
        axis.grid(color=theme.grid, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[:].set_visible(False)
        for label_text in (axis.xaxis.label, axis.yaxis.label):
            label_text.set_color(theme.text)
            label_text.set_fontsize(9.5)
    return figure, axes


def legend_above(axis: Axes, theme: Theme) -> None:
    """The legend above the axes, where it hides nothing."""
    axis.legend(
        frameon=False,
        fontsize=8.5,
        labelcolor=theme.text,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        borderpad=0,
    )


def date_axis(axis: Axes, theme: Theme) -> None:
    """Few, short dates along the horizontal axis."""
    locator = AutoDateLocator(maxticks=5)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axis.xaxis.get_offset_text().set(color=theme.text, size=8)
    axis.grid(visible=False, axis="x")


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})  # without it the same figure is the same bytes
    return buffer.getvalue()
