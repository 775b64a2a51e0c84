"""Muon: momentum with orthogonalised steps, so that all directions of a layer learn at the same speed.

Jordan et al. 2024 (kellerjordan.github.io/posts/muon), with the step size of arXiv:2502.16982, which makes it as long
as AdamW's. torch.optim.Muon is the same one matrix at a time in bfloat16; here all of one shape go together in
float32, which for matrices as small as these is many times faster on a CPU.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic whose repetition drives singular values to about 1
REPETITIONS = 5


class Muon(torch.optim.Optimizer):
    def __init__(
        self, params: Iterable[Tensor], lr: float = 2e-3, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            alike = defaultdict(list)
            for parameter in group["params"]:
                alike[parameter.shape].append(parameter)
            for shape, parameters in alike.items():
                updates = torch.stack([self._momentum(parameter, group["momentum"]) for parameter in parameters])
                length = 0.2 * max(shape) ** 0.5 * group["lr"]
                for parameter, update in zip(parameters, orthogonal(updates), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=length)

    def _momentum(self, parameter: Tensor, keep: float) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        mean = state["momentum"].lerp_(parameter.grad, 1 - keep)
        return parameter.grad.lerp(mean, keep)  # Nesterov


def orthogonal(matrices: Tensor) -> Tensor:
    """[N, rows, columns] to nearly the nearest matrices whose singular values are 1, by Newton and Schulz."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(REPETITIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if is_tall else x
