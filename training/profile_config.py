"""The settings of customer profiles."""

from dataclasses import dataclass

from data_pipelines.schema import InputError

MAX_SEED = 2**31
"""NumPy's and scikit-learn's generators take 32 bits; a few more are counted on from the seed."""


@dataclass(frozen=True)
class ProfileConfig:
    """What profiles are made of and how segments are found. Fields left at null are found in the data."""

    segments: int | None = None
    """How many segments; null: as many as the previous profiles have, without such chosen by silhouette and
    stability."""
    choose_again: bool = False
    """Choose the number of segments anew although there are previous profiles."""
    min_segments: int = 3
    """The smallest number to choose from: two segments are usually the most distinct, and tell a marketer nothing."""
    max_segments: int = 10
    """The largest number to choose from."""
    stability_floor: float = 0.75
    """Adjusted Rand index under resampling from which on segments count as found again; 1 is always the same."""
    resamples: int = 8
    """Pairs of bootstrap samples that stability is measured on."""
    seed: int = 0
    """Of samples and starts; the same seed and data give the same profiles."""
    bought: tuple[str, ...] = ()
    """Event types that count as bought; empty: purchases where there are any, else all."""
    category_column: str | None = None
    """Column of items; null: category, else the finest group of products that the source names."""
    brand_column: str | None = None
    """Column of items; null: brand, where there is one."""
    discount_columns: tuple[str, ...] | None = None
    """Columns of events with money taken off a line; null: the numeric ones whose name holds `disc`; []: none."""
    promoted_from: float = 0.5
    """An item is promoted in a week in which a column of the table promotions reaches this: 0.5 is half of the
    stores where columns are shares of stores."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.segments is not None and self.segments < 2:
            raise InputError(f"segments={self.segments}: must be at least 2")
        if not 2 <= self.min_segments <= self.max_segments:
            raise InputError(
                f"min_segments={self.min_segments}, max_segments={self.max_segments}: must rise, from 2 on"
            )
        if not 0 <= self.stability_floor <= 1:
            raise InputError(f"stability_floor={self.stability_floor:g}: must be between 0 and 1")
        if self.resamples < 1:
            raise InputError(f"resamples={self.resamples}: must be at least 1")
        if not 0 <= self.seed < MAX_SEED:
            raise InputError(f"seed={self.seed}: must be from 0 to {MAX_SEED - 1}")
        if self.promoted_from <= 0:
            raise InputError(f"promoted_from={self.promoted_from:g}: must be above 0, or everything is promoted")
