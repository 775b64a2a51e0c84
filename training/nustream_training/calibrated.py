"""A network whose kappa can be recalibrated after training by a piecewise linear map of log kappa, see calibrate.py."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nustream_training.calibrate import KappaMap

KAPPA_MIN = 1e-6


class Calibrated(nn.Module):
    """Its forward ends with `calibrate`, which changes nothing until `set_kappa_map`."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kappa_knots", torch.zeros(1), persistent=False)  # [K] log kappa
        self.register_buffer("kappa_bends", torch.zeros(1), persistent=False)  # [K] change of slope at each knot
        self.register_buffer("kappa_shift", torch.zeros(()), persistent=False)

    def calibrate(self, vector: Tensor) -> Tensor:
        """[E, 3] to [E, 3]: another length, the same direction."""
        length = vector.square().sum(1, keepdim=True).clamp(min=KAPPA_MIN**2).sqrt()
        bend = F.relu(torch.log(length) - self.kappa_knots)  # [E, K]
        return vector * torch.exp(self.kappa_shift + torch.matmul(bend, self.kappa_bends.unsqueeze(1)))

    def set_kappa_map(self, kappa_map: KappaMap) -> None:
        self.kappa_knots = torch.tensor(kappa_map.knots, dtype=torch.float32)
        self.kappa_bends = torch.tensor(kappa_map.bends, dtype=torch.float32)
        self.kappa_shift = torch.tensor(kappa_map.shift, dtype=torch.float32)
