"""The robust line fit as a torch module: the same numbers and constants as src/inference/linefit/linefit.ts.

A point moves at constant velocity; its line is fitted to positions and times of the pulses (arXiv:1308.5501): drop
scattered light, fit with Huber weights, then once more with the pulses near the line. All in float64.
"""

import torch
from torch import Tensor, nn

from nustream_training.features import Manifest

CLEANING_RADIUS_M = 156.0
CLEANING_DELAY_NS = 778.0
HUBER_MU_M = 153.0
HUBER_ITERATIONS = 3
DEBIAS_RADIUS_M = 116.0
TIME_VARIANCE_MIN = 1.0  # ns²
SPEED_MIN = 1e-4  # m/ns
AXIS_SQUARINGS = 10
AXIS_VARIANCE_MIN = 1e-3  # m²

Line = tuple[Tensor, Tensor, Tensor]  # velocity [E, 3] m/ns, place at t = 0 [E, 3] m, whether it is fixed [E]


class LineFit(nn.Module):
    def forward(self, pulses: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """pulses [E, L, 4] float32: x, y, z, time of pulses in time order; mask [E, L] bool, true for a pulse.

        Answers a vector to where the particle came from [E, 3] float64, and whether the event fixes none [E] bool:
        then the vector is the upper end of the longest axis of the pulses' places.
        """
        pulses = pulses.double()
        place = pulses[:, :, :3]  # [E, L, 3]
        time = pulses[:, :, 3] - pulses[:, :1, 3]  # [E, L], after the first pulse
        present = mask.double()  # [E, L]
        kept = present * (1 - late(place, time, mask))
        robust = fit_huber(place, time, kept)
        velocity = fit_near(place, time, kept, robust)
        speed = velocity.square().sum(1).sqrt()
        degenerate = ~(robust[2] & (speed >= SPEED_MIN))
        # The particle travels along the velocity, so it came from the other end.
        direction = torch.where(degenerate.unsqueeze(1), longest_axis(place, present), -velocity)
        return direction, degenerate


def late(place: Tensor, time: Tensor, mask: Tensor) -> Tensor:
    """1.0 for each pulse more than 778 ns after another one within 156 m, otherwise 0.0. [E, L]"""
    apart = torch.zeros_like(time.unsqueeze(2) - time.unsqueeze(1))  # [E, L, L], m²
    for axis in range(3):
        apart = apart + (place[:, :, None, axis] - place[:, None, :, axis]).square()
    after = time.unsqueeze(2) - time.unsqueeze(1)  # [E, L, L]: how long pulse i is after pulse j
    hides = (after > CLEANING_DELAY_NS) & (apart <= CLEANING_RADIUS_M**2) & mask.unsqueeze(1)
    return (hides.double().sum(2) > 0).double()


def fit_huber(place: Tensor, time: Tensor, kept: Tensor) -> Line:
    """Least squares, then three times again with weights mu / distance beyond mu; fixed only where each one was."""
    line = fit_weighted(place, time, kept)
    fixed = line[2]
    for _ in range(HUBER_ITERATIONS):
        distance = distance2(place, time, line).sqrt()
        line = fit_weighted(place, time, kept * HUBER_MU_M / distance.clamp(min=HUBER_MU_M))
        fixed = fixed & line[2]
    return line[0], line[1], fixed


def fit_near(place: Tensor, time: Tensor, kept: Tensor, robust: Line) -> Tensor:
    """Velocity by the pulses within 116 m of the robust line; the robust one where those fix none. [E, 3]"""
    near = (distance2(place, time, robust) <= DEBIAS_RADIUS_M**2).double()
    velocity, _, fixed = fit_weighted(place, time, kept * near)
    return torch.where(fixed.unsqueeze(1), velocity, robust[0])


def fit_weighted(place: Tensor, time: Tensor, weight: Tensor) -> Line:
    """v = cov(r, t) / var(t), r0 = mean(r) - v mean(t), weighted. Zeros, never NaN, where the times have no spread."""
    total = weight.sum(1)  # [E]
    share = weight / torch.where(total > 0, total, 1.0).unsqueeze(1)  # [E, L], sums to 1
    mean_t = (share * time).sum(1, keepdim=True)  # [E, 1]
    mean_r = (share.unsqueeze(2) * place).sum(1)  # [E, 3]
    dt = time - mean_t  # [E, L]
    variance = (share * dt * dt).sum(1)  # [E]
    covariance = ((share * dt).unsqueeze(2) * (place - mean_r.unsqueeze(1))).sum(1)  # [E, 3]
    fixed = variance >= TIME_VARIANCE_MIN
    velocity = covariance / torch.where(fixed, variance, 1.0).unsqueeze(1)
    return velocity, mean_r - velocity * mean_t, fixed


def distance2(place: Tensor, time: Tensor, line: Line) -> Tensor:
    """m², between each pulse and the point of the line at its time. [E, L]"""
    velocity, start, _ = line
    expected = start.unsqueeze(1) + velocity.unsqueeze(1) * time.unsqueeze(2)  # [E, L, 3]
    return (expected - place).square().sum(2)


def longest_axis(place: Tensor, present: Tensor) -> Tensor:
    """Upper end of the longest axis of the places; straight up where they are one point. [E, 3]"""
    share = (present / present.sum(1, keepdim=True)).unsqueeze(2)  # [E, L, 1]
    offset = place - (share * place).sum(1, keepdim=True)  # [E, L, 3]
    matrix = torch.matmul((share * offset).transpose(1, 2), offset)  # [E, 3, 3]
    is_point = (trace(matrix) < AXIS_VARIANCE_MIN).reshape(-1, 1)  # [E, 1]
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    matrix = torch.where(is_point.unsqueeze(2), torch.diag(up), matrix)
    # Squared ten times it is the power 1,024, which leaves only its largest axis in every column.
    for _ in range(AXIS_SQUARINGS):
        matrix = torch.matmul(matrix, matrix) / trace(matrix).square()
    xx, yy, zz = (matrix[:, axis, axis].unsqueeze(1) for axis in range(3))  # [E, 1]
    x_or_y = torch.where(yy >= xx, matrix[:, :, 1], matrix[:, :, 0])
    axis = torch.where((zz >= xx) & (zz >= yy), matrix[:, :, 2], x_or_y)  # [E, 3]
    return torch.where(axis[:, 2:] < 0, -axis, axis)


def trace(matrix: Tensor) -> Tensor:
    """[E, 3, 3] to [E, 1, 1]."""
    return (matrix[:, 0, 0] + matrix[:, 1, 1] + matrix[:, 2, 2]).reshape(-1, 1, 1)


def linefit_manifest() -> Manifest:
    return {
        "formatVersion": 1,
        "name": "linefit-onnx",
        "version": "1",
        "description": "Robust line fit (delay cleaning, Huber, debias), the same numbers as the built-in one",
        "licence": "Apache-2.0",
        "origin": "made by training/ from the published method, arXiv:1308.5501; nothing in it is trained",
        "training": {"dataDigest": None, "parameters": 0},
        "pulses": {
            "keep": "hlc",
            "hlcMin": 3,
            "min": 1,
            "max": 256,
            "prefer": "none",
            "by": "spread",
            "order": "time",
        },
        "inputs": [
            {
                "name": "pulses",
                "layout": "padded",
                "dtype": "float32",
                "features": [
                    {"column": "x", "unit": "m"},
                    {"column": "y", "unit": "m"},
                    {"column": "z", "unit": "m"},
                    {"column": "time", "unit": "ns"},
                ],
            },
            {"name": "mask", "layout": "mask", "dtype": "bool", "trueMeans": "pulse"},
        ],
        "output": {
            "meaning": "vector",
            "tensor": "direction",
            "axes": ["x", "y", "z"],
            "points": "source",
            "degenerate": {"tensor": "degenerate"},
        },
        "parity": "parity.json",
    }
