"""IceMix for training from scratch: it takes the single tensor of pulses of training, and returns x, y, z.

The published weights cannot be used here: times count from the first coincident pulse, the properties of ice and
sensors are the physical ones, and the pulse count is that of the selected pulses.
"""

import torch
from torch import Tensor

from nustream_training.calibrated import Calibrated
from nustream_training.features import Manifest
from nustream_training.icemix import IceMix
from nustream_training.icemix_manifest import PULSES_MAX
from nustream_training.icemix_sizes import VARIANTS, IceMixConfig

SIZES: dict[str, IceMixConfig] = {
    "t": VARIANTS["t"],
    "s": VARIANTS["s"],
    "b": VARIANTS["b-d64"],
    "v22": VARIANTS["v22"],
    "v23": VARIANTS["v23"],
}

# Columns of a pulse, in this order.
FEATURES = [
    {"column": "x", "unit": "m", "scale": 500},
    {"column": "y", "unit": "m", "scale": 500},
    {"column": "z", "unit": "m", "scale": 500},
    {"column": "timeSinceFirstHlc", "unit": "ns", "scale": 30_000},
    {"column": "charge", "unit": "p.e.", "transform": "log10", "scale": 3},
    {"column": "hlc", "unit": "1"},
    {"column": "quantumEfficiency", "unit": "1", "lookup": "physical", "offset": 1, "scale": 0.35},
    {"column": "scatteringLength", "unit": "m", "lookup": "physical", "offset": 32.4, "scale": 27.175},
    {"column": "absorptionLength", "unit": "m", "lookup": "physical", "offset": 111.8, "scale": 89.325},
]


class PulsesIceMix(Calibrated):
    def __init__(self, config: IceMixConfig) -> None:
        super().__init__()
        self.network = IceMix(config)

    def forward(self, pulses: Tensor, mask: Tensor) -> Tensor:
        """pulses [E, L, 9] float32 in the order of FEATURES, mask [E, L] bool, true for a pulse. Answers [E, 3]."""
        time, charge, hlc, efficiency = (pulses[:, :, i] for i in (3, 4, 5, 6))
        auxiliary = (hlc < 0.5).to(torch.int64)
        count = mask.to(torch.int64).sum(1)
        answer = self.network(
            pulses[:, :, :3], charge, time, auxiliary, mask, count, efficiency, pulses[:, :, 7:9]
        )  # [E, 3]: y, x, z
        return self.calibrate(torch.stack([answer[:, 1], answer[:, 0], answer[:, 2]], dim=1))


def training_manifest(size: str, config: IceMixConfig, pulses_max: int = PULSES_MAX) -> Manifest:
    """Of a network that was not trained yet; `size` is a name of SIZES, or whatever else `config` goes by."""
    name = size if size in SIZES else "custom"
    blocks = f"{config.depth_rel} + {config.depth} blocks of {config.dim}"
    return {
        "formatVersion": 1,
        "name": f"icemix-{name}-trained",
        "version": "1",
        "description": f"IceMix {name} trained from scratch: {blocks}",
        "licence": "Apache-2.0",
        "origin": "trained by training/ of nustream on simulated events",
        "training": {"dataDigest": None},
        "pulses": {"max": pulses_max, "prefer": "hlc", "by": "spread", "order": "time"},
        "inputs": [
            {"name": "pulses", "layout": "padded", "dtype": "float32", "features": FEATURES},
            {"name": "mask", "layout": "mask", "dtype": "bool", "trueMeans": "pulse"},
        ],
        "output": {"meaning": "vector-kappa", "tensor": "direction", "axes": ["x", "y", "z"], "points": "source"},
        "parity": "parity.json",
    }
