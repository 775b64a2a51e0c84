"""An LSTM that returns azimuth and zenith directly, from padded pulses and lengths."""

import math

import torch
from torch import Tensor, nn

from nustream_training.examples.weights import draw_weights
from nustream_training.features import Manifest

DIM = 16


class AzimuthZenith(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, DIM, batch_first=True)
        self.head = nn.Linear(DIM, 2)
        draw_weights(self)

    def forward(self, pulses: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """pulses [E, L, 6] float32, lengths [E] int64; answers azimuth [E] and zenith [E] in radians."""
        states, _ = self.lstm(pulses)  # [E, L, DIM]
        # The state after the last pulse; later states are of padding.
        last = (lengths - 1).reshape(-1, 1, 1).expand(-1, 1, DIM)  # [E, 1, DIM]
        angles = torch.sigmoid(self.head(states.gather(1, last).squeeze(1)))  # [E, 2]
        return 2 * math.pi * angles[:, 0], math.pi * angles[:, 1]


def build() -> tuple[nn.Module, Manifest]:
    features = [
        *({"column": axis, "unit": "m", "scale": 500} for axis in "xyz"),
        {"column": "time", "unit": "ns", "offset": 10_000, "scale": 3_000},
        {"column": "charge", "unit": "p.e.", "transform": "log10", "scale": 3},
        {"column": "hlc", "unit": "1", "offset": 0.5, "scale": 0.5},
    ]
    manifest = {
        "formatVersion": 1,
        "name": "azimuth-zenith",
        "version": "1",
        "description": "Random weights: an LSTM that answers azimuth and zenith",
        "licence": "Apache-2.0",
        "origin": "made by training/ of nustream, not trained",
        "training": {"dataDigest": None},
        "pulses": {"max": 128, "prefer": "none", "by": "spread", "order": "time"},
        "inputs": [
            {"name": "pulses", "layout": "padded", "dtype": "float32", "features": features},
            {"name": "lengths", "layout": "lengths", "dtype": "int64"},
        ],
        "output": {
            "meaning": "azimuth-zenith",
            "tensors": ["azimuth", "zenith"],
            "order": ["azimuth", "zenith"],
            "unit": "rad",
            "points": "source",
        },
        "parity": "parity.json",
    }
    return AzimuthZenith(), manifest
