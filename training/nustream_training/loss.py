"""Losses for directions: von Mises-Fisher likelihood, whose concentration is the vector's length, and the angle."""

import math

import torch
from torch import Tensor

KAPPA_MIN = 1e-4


def vmf_loss(vector: Tensor, truth: Tensor) -> Tensor:
    """Negative log density of the true directions, mean over events.

    vector [E, 3], its length is kappa; truth [E, 3] unit vectors. The density on the sphere is
    kappa / (4 pi sinh kappa) exp(kappa cos angle), whose logarithm is written so that no large kappa overflows.
    """
    kappa = vector.square().sum(1).clamp(min=KAPPA_MIN**2).sqrt()
    # sinh k = exp(k) (1 - exp(-2 k)) / 2
    log_norm = torch.log(kappa) - kappa - torch.log(-torch.expm1(-2 * kappa)) - math.log(2 * math.pi)
    return -(log_norm + (vector * truth).sum(1)).mean()


def angles(vector: Tensor, truth: Tensor) -> Tensor:
    """Opening angles in radians, [E]; exact, and with a gradient, at 0 and pi too."""
    across = torch.linalg.cross(vector, truth).square().sum(1)
    along = (vector * truth).sum(1)
    return torch.atan2((across + 1e-12).sqrt(), along)


def angle_loss(vector: Tensor, truth: Tensor) -> Tensor:
    return angles(vector, truth).mean()
