"""Pulses of all events in one flat tensor and how many each event has: a deep set without padding."""

import torch
from torch import Tensor, nn

from nustream_training.examples.weights import draw_weights
from nustream_training.features import Manifest

DIM = 32


class FlatLengths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pulse = nn.Sequential(nn.Linear(5, DIM), nn.GELU(), nn.Linear(DIM, DIM), nn.GELU())
        self.event = nn.Sequential(nn.Linear(DIM, DIM), nn.GELU(), nn.Linear(DIM, 3))
        self.log_kappa = nn.Linear(DIM, 1)
        draw_weights(self)

    def forward(self, pulses: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """pulses [T, 5] float32, lengths [E] int64; answers vectors [E, 3] and the logarithm of kappa [E, 1]."""
        x = self.pulse(pulses)  # [T, DIM]
        ends = lengths.cumsum(0)  # [E]
        place = torch.arange(pulses.shape[0], device=pulses.device)  # [T]
        owner = (place.unsqueeze(1) >= ends).sum(1)  # [T]: the event that each pulse belongs to
        # Summed per event: with differences of one running sum, rounding would make an event depend on its neighbours.
        total = torch.zeros(lengths.shape[0], DIM).index_add(0, owner, x)  # [E, DIM]
        mean = total / lengths.unsqueeze(1)
        return self.event(mean), self.log_kappa(mean)


def build() -> tuple[nn.Module, Manifest]:
    features = [
        *({"column": axis, "unit": "m", "scale": 500} for axis in "xyz"),
        {"column": "timeSinceFirstHlc", "unit": "ns", "scale": 3000, "clip": [-3, 10]},
        {"column": "charge", "unit": "p.e.", "transform": "log1p"},
    ]
    manifest = {
        "formatVersion": 1,
        "name": "flat-lengths",
        "version": "1",
        "description": "Random weights: flat pulses and lengths, direction of travel and log kappa",
        "licence": "Apache-2.0",
        "origin": "made by training/ of nustream, not trained",
        "training": {"dataDigest": None},
        "pulses": {"max": 256, "prefer": "hlc", "by": "charge", "order": "charge"},
        "inputs": [
            {"name": "pulses", "layout": "flat", "dtype": "float32", "features": features},
            {"name": "lengths", "layout": "lengths", "dtype": "int64"},
        ],
        "output": {
            "meaning": "vector",
            "tensor": "velocity",
            "axes": ["x", "y", "z"],
            "points": "travel",
            "kappa": {"tensor": "log_kappa", "transform": "exp"},
        },
        "parity": "parity.json",
    }
    return FlatLengths(), manifest
