"""CUPED: what was known of units before the experiment takes its part of the noise away.

    y' = y − θ (x − mean x),    θ = cov(x, y) / var(x) over all variants

x is from before the exposure, so the variants do not differ in it but by chance: the difference of y' is that of y
without that chance, and its variance is smaller by the factor 1 − correlation². With several covariates θ are the
coefficients of a least-squares fit.

Reference: Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", WSDM 2013.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def adjust(outcome: FloatArray, covariates: FloatArray, variant: npt.NDArray[np.intp]) -> FloatArray:
    """The outcome without what the covariates explain; its overall mean stays.

    Args:
        outcome: `[n]`.
        covariates: `[n, m]` from before the exposure.
        variant: `[n]` number of the variant; θ is found within variants, so that a real effect does not bend it.

    Returns:
        `[n]`.
    """
    centred = covariates - covariates.mean(axis=0)
    theta, *_ = np.linalg.lstsq(_within(covariates, variant), _within(outcome[:, None], variant)[:, 0])
    return np.asarray(outcome - centred @ theta)


def _within(values: FloatArray, variant: npt.NDArray[np.intp]) -> FloatArray:
    """Values less the means of their variants, `[n, m]`."""
    units = np.bincount(variant)
    sums = np.stack([np.bincount(variant, column) for column in values.T], axis=1)
    return np.asarray(values - (sums / np.maximum(units, 1)[:, None])[variant])
