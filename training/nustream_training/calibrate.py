"""Recalibrates kappa, so that its 50 % and 90 % radii contain 50 % and 90 % of the events.

A von Mises-Fisher distribution of concentration kappa has the share (1 - exp(-kappa (1 - cos r))) / (1 - exp(-2 kappa))
within the angle r.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SHARES = (0.5, 0.9)
KNOTS = 5
ROUNDS = 60


@dataclass(frozen=True)
class KappaMap:
    """log kappa' = log kappa + shift + sum of bends * max(0, log kappa - knot)."""

    shift: float
    knots: np.ndarray
    bends: np.ndarray

    def __call__(self, kappa: np.ndarray) -> np.ndarray:
        log = np.log(kappa)
        return np.exp(log + self.shift + np.maximum(0, log[:, None] - self.knots) @ self.bends)


def radius(kappa: np.ndarray, share: float) -> np.ndarray:
    """The radius that kappa predicts to contain `share` of the events, radians. [E]"""
    beyond = -np.expm1(-2 * kappa)
    above = -np.log1p(-share * beyond) / kappa  # 1 - cos r
    return 2 * np.arcsin(np.sqrt(np.clip(above / 2, 0, 1)))


def coverage(kappa: np.ndarray, error: np.ndarray, share: float) -> float:
    """Observed over predicted radius: the factor by which radii must grow to contain their share."""
    return float(np.quantile(error / radius(kappa, share), share))


def fit_map(kappa: np.ndarray, error: np.ndarray) -> KappaMap:
    """A piecewise linear map of log kappa with knots at its quantiles that minimises the errors of both radii.

    If errors do not follow the distribution, both radii cannot be exact; then they are off by the same factor.
    """
    edges = np.quantile(kappa, np.linspace(0, 1, 2 * KNOTS + 1))
    parts = [(kappa >= low) & (kappa <= high) for low, high in pairwise(edges)]
    centres = np.array([np.mean(np.log(kappa[part])) for part in parts])
    wanted = np.array([_best_shift(kappa[part], error[part]) for part in parts])
    knots = np.quantile(np.log(kappa), np.linspace(0, 1, KNOTS + 1)[:-1])
    columns = np.concatenate([np.ones((len(centres), 1)), np.maximum(0, centres[:, None] - knots)], axis=1)
    found = np.linalg.lstsq(columns, wanted, rcond=1e-6)[0]
    return KappaMap(float(found[0]), knots, found[1:])


def _best_shift(kappa: np.ndarray, error: np.ndarray) -> float:
    """The shift of log kappa for which the logarithms of the two coverages sum to 0."""
    low, high = -4.0, 4.0
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        shifted = kappa * np.exp(middle)
        # A larger kappa predicts smaller radii, so the coverage factor grows with kappa.
        too_sure = sum(np.log(coverage(shifted, error, share)) for share in SHARES) > 0
        low, high = (low, middle) if too_sure else (middle, high)
    return (low + high) / 2
