"""Inputs, blocks and output of IceMix (second place of the Kaggle challenge), in a very small size.

One tensor per quantity, a mask where true means a pulse, the pulse count before cutting, and an answer whose axes are
(y, x, z) and whose length is the concentration kappa. Written from the published description, arXiv:2310.15674.
"""

import math

import torch
from torch import Tensor, nn

from nustream_training.features import Manifest

DIM = 16  # of a token
BASE = 8  # of one embedded number
HEAD = 8  # of one attention head
PULSES_MAX = 192


class IceMixAxes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.Embedding(2, BASE // 2)
        self.extract = nn.Sequential(
            nn.Linear(6 * BASE, 6 * BASE), nn.LayerNorm(6 * BASE), nn.GELU(), nn.Linear(6 * BASE, DIM)
        )
        self.relation = nn.Linear(HEAD, HEAD)
        self.first = Block()
        self.second = Block()
        self.out = nn.Linear(DIM, 3)
        nn.init.normal_(self.out.weight)  # so that kappa, the answer's length, is well above 0

    def forward(
        self, pos: Tensor, time: Tensor, charge: Tensor, aux: Tensor, mask: Tensor, pulses_before_cut: Tensor
    ) -> Tensor:
        """pos [E, L, 3]; time, charge [E, L] float32; aux [E, L] int64; mask [E, L] bool; pulses_before_cut [E] int64.

        Answers vectors [E, 3] in the order y, x, z.
        """
        count = pulses_before_cut.to(pos.dtype).log10().unsqueeze(1)  # [E, 1]
        embedded = [
            sinusoids(4096 * pos, BASE).flatten(2),  # [E, L, 3 * BASE]: x, then y, then z
            sinusoids(1024 * charge, BASE),
            sinusoids(4096 * time, BASE),
            self.auxiliary(aux),  # [E, L, BASE / 2]
            sinusoids(count, BASE // 2).expand(-1, pos.shape[1], -1),  # the same on each pulse
        ]
        x = self.extract(torch.cat(embedded, dim=2))  # [E, L, DIM]
        x = self.first(x, mask, self.relate(pos, time))
        x = self.second(x, mask, None)
        is_pulse = mask.unsqueeze(2).to(x.dtype)  # [E, L, 1]
        return self.out((x * is_pulse).sum(1) / is_pulse.sum(1))

    def relate(self, pos: Tensor, time: Tensor) -> Tensor:
        """Relation of two pulses in space and time, in units of 500 m. [E, L, L, HEAD]"""
        apart = pos.unsqueeze(2) - pos.unsqueeze(1)  # [E, L, L, 3]
        # 0.3 m/ns is the speed of light that IceMix was trained with.
        later = (time.unsqueeze(2) - time.unsqueeze(1)) * (30_000 / 500 * 0.3)  # [E, L, L]
        interval2 = apart.square().sum(3) - later.square()
        interval = (interval2.sign() * interval2.abs().sqrt()).clamp(-4, 4)
        return self.relation(sinusoids(1024 * interval, HEAD))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(DIM)
        self.qkv = nn.Linear(DIM, 3 * DIM, bias=False)
        self.project = nn.Linear(DIM, DIM)
        self.norm2 = nn.LayerNorm(DIM)
        self.mlp = nn.Sequential(nn.Linear(DIM, 4 * DIM), nn.GELU(), nn.Linear(4 * DIM, DIM))

    def forward(self, x: Tensor, mask: Tensor, relation: Tensor | None) -> Tensor:
        x = x + self.attend(self.norm1(x), mask, relation)
        return x + self.mlp(self.norm2(x))

    def attend(self, x: Tensor, mask: Tensor, relation: Tensor | None) -> Tensor:
        """The relation, shared by all heads, adds to keys and to values alike."""
        events, length, _ = x.shape
        q, k, v = self.qkv(x).reshape(events, length, 3, -1, HEAD).permute(2, 0, 3, 1, 4)  # each [E, H, L, HEAD]
        q = q * HEAD**-0.5
        logits = q @ k.transpose(2, 3)  # [E, H, L, L]
        if relation is not None:
            # [E, L, H, HEAD] @ [E, L, HEAD, L], then heads first again.
            logits = logits + (q.transpose(1, 2) @ relation.transpose(2, 3)).transpose(1, 2)
        weights = logits.masked_fill(~mask[:, None, None, :], -math.inf).softmax(3)
        mixed = weights @ v  # [E, H, L, HEAD]
        if relation is not None:
            mixed = mixed + (weights.transpose(1, 2) @ relation).transpose(1, 2)
        return self.project(mixed.transpose(1, 2).reshape(events, length, DIM))


def sinusoids(x: Tensor, dim: int) -> Tensor:
    """[...] to [..., dim]: all sines, then all cosines, of `dim / 2` frequencies from 1 down to nearly 1 / 10,000."""
    frequencies = torch.exp(torch.arange(dim // 2, dtype=torch.float32) * (-math.log(10_000) / (dim // 2)))
    angles = x.unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def build() -> tuple[nn.Module, Manifest]:
    pos = [{"column": axis, "unit": "m", "scale": 500} for axis in "xyz"]
    time = {"column": "time", "unit": "ns", "offset": 10_000, "scale": 30_000}
    charge = {"column": "charge", "unit": "p.e.", "transform": "log10", "scale": 3}
    auxiliary = {"column": "auxiliary", "unit": "1"}
    count = {"column": "pulseCount", "unit": "1"}
    manifest = {
        "formatVersion": 1,
        "name": "icemix-axes",
        "version": "1",
        "description": "Random weights: inputs as IceMix has them, output axes y, x, z, length kappa",
        "licence": "Apache-2.0",
        "origin": "made by training/ of nustream, not trained",
        "training": {"dataDigest": None},
        "pulses": {"max": PULSES_MAX, "prefer": "hlc", "by": "time", "order": "time"},
        "inputs": [
            {"name": "pos", "layout": "padded", "dtype": "float32", "features": pos},
            {"name": "time", "layout": "padded-column", "dtype": "float32", "features": [time]},
            {"name": "charge", "layout": "padded-column", "dtype": "float32", "features": [charge]},
            {"name": "aux", "layout": "padded-column", "dtype": "int64", "features": [auxiliary]},
            {"name": "mask", "layout": "mask", "dtype": "bool", "trueMeans": "pulse"},
            {"name": "L0", "layout": "event-column", "dtype": "int64", "features": [count]},
        ],
        "output": {"meaning": "vector-kappa", "tensor": "p", "axes": ["y", "x", "z"], "points": "source"},
        "parity": "parity.json",
    }
    return IceMixAxes(), manifest
