"""Six raw features and a boolean padding mask where true means padding, as torch.nn.TransformerEncoder has it.

The answer is a vector of any length, and there is no cap on pulses.
"""

import torch
from torch import Tensor, nn

from nustream_training.examples.weights import draw_weights
from nustream_training.features import Manifest

FEATURES = (("x", "m"), ("y", "m"), ("z", "m"), ("time", "ns"), ("charge", "p.e."), ("auxiliary", "1"))
DIM = 16
LAYERS = 2


class RawMask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(len(FEATURES), DIM)
        self.norm = nn.LayerNorm(DIM)
        # Without the nested tensors, whose shapes depend on the data, padding can be exported.
        layer = nn.TransformerEncoderLayer(DIM, nhead=2, dim_feedforward=32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(DIM, 3)
        draw_weights(self)
        with torch.no_grad():  # as training would, bring metres and nanoseconds to about 1, the trigger at 0
            self.embed.weight /= torch.tensor([500.0, 500.0, 500.0, 3000.0, 1.0, 1.0])
            self.embed.bias -= 10_000 * self.embed.weight[:, 3]

    def forward(self, pulses: Tensor, padding: Tensor) -> Tensor:
        """pulses [E, L, 6] float32, padding [E, L] bool; answers vectors [E, 3]."""
        x = self.norm(self.embed(pulses))  # [E, L, DIM]
        x = self.encoder(x, src_key_padding_mask=padding)
        is_pulse = (~padding).unsqueeze(2).to(x.dtype)  # [E, L, 1]
        mean = (x * is_pulse).sum(1) / is_pulse.sum(1)  # [E, DIM]
        return self.head(mean)


def build() -> tuple[nn.Module, Manifest]:
    features = [{"column": column, "unit": unit} for column, unit in FEATURES]
    manifest = {
        "formatVersion": 1,
        "name": "raw-mask",
        "version": "1",
        "description": "Random weights: six raw features, boolean padding mask, no cap on pulses",
        "licence": "Apache-2.0",
        "origin": "made by training/ of nustream, not trained",
        "training": {"dataDigest": None},
        "pulses": {"max": None, "prefer": "none", "by": "time", "order": "time"},
        "inputs": [
            {"name": "pulses", "layout": "padded", "dtype": "float32", "features": features},
            {"name": "padding", "layout": "mask", "dtype": "bool", "trueMeans": "padding"},
        ],
        "output": {"meaning": "vector", "tensor": "direction", "axes": ["x", "y", "z"], "points": "source"},
        "parity": "parity.json",
    }
    return RawMask(), manifest
