"""Quantiles of a global model from its errors on weeks it had not seen, in bins of alike forecasts.

Errors are measured against the forecast and the series' own recent deviation, `r = (y - ŷ) / (ŷ + s)`. Within a bin of
the series' variation s / (ŷ + s) and of the lead, the q-quantile of r moves the forecast: `ŷ + r_q (ŷ + s)`, never
below zero. This is a split conformal forecast with Mondrian bins.
Reference: Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005, chapter 4.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.forecasting.forecaster import LEVELS, FloatArray
from models.forecasting.residual_quantiles import quantiles_of

N_BINS = 8
LEAD_STEPS = 7
FEWEST_PER_BIN = 30
"""A bin with fewer errors takes the quantiles of all."""


@dataclass(frozen=True)
class BinnedQuantiles:
    """Quantiles of relative errors per bin.

    Args:
        edges: `[n_bins - 1]` of the series' variation.
        n_leads: lead bins.
        shifts: `[n_bins, n_leads, n_levels]`.
    """

    edges: FloatArray
    n_leads: int
    shifts: FloatArray

    @classmethod
    def of(
        cls, target: FloatArray, mean: FloatArray, deviation: FloatArray, lead: npt.NDArray[np.int64]
    ) -> "BinnedQuantiles":
        """Measure errors.

        Args:
            target: `[rows]` what happened.
            mean: `[rows]` what was forecast.
            deviation: `[rows]` the series' recent standard deviation.
            lead: `[rows]` steps ahead.
        """
        spread = _spread(mean, deviation)
        error = (target - mean) / spread
        variation = np.nan_to_num(deviation) / spread
        edges = np.quantile(variation, np.linspace(0, 1, N_BINS + 1)[1:-1]).astype(np.float32)
        n_leads = int((lead.max() - 1) // LEAD_STEPS + 1)
        result = cls(edges, n_leads, np.zeros((0, 0, 0), np.float32))
        bins, leads = result._bin(variation, lead)
        overall = quantiles_of(error)
        shifts = np.empty((N_BINS, n_leads, len(LEVELS)), np.float32)
        for one in range(N_BINS):
            for ahead in range(n_leads):
                inside = error[(bins == one) & (leads == ahead)]
                shifts[one, ahead] = quantiles_of(inside) if len(inside) >= FEWEST_PER_BIN else overall
        return cls(edges, n_leads, shifts)

    def around(self, mean: FloatArray, deviation: FloatArray, lead: npt.NDArray[np.int64]) -> FloatArray:
        """`[rows, n_levels]` quantiles around forecasts `[rows]`."""
        spread = _spread(mean, deviation)
        bins, leads = self._bin(np.nan_to_num(deviation) / spread, lead)
        return np.maximum(mean[:, None] + self.shifts[bins, leads] * spread[:, None], 0.0)

    def _bin(
        self, variation: FloatArray, lead: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        leads = np.minimum((lead - 1) // LEAD_STEPS, self.n_leads - 1)
        return np.searchsorted(self.edges, variation), leads


def _spread(mean: FloatArray, deviation: FloatArray) -> FloatArray:
    return np.maximum(mean + np.nan_to_num(deviation), 1e-6)
