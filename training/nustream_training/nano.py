"""nano: a small transformer that starts from a line fit, in the graph shape of transformer.py.

Every event is first centred in space and time, with a robust line through its pulses; the network learns corrections
to that line. Lengths are in units of 500 m and times in units of what light in a vacuum
needs for that, so that a speed of 1 is light's.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nustream_training.calibrated import Calibrated
from nustream_training.features import Manifest
from nustream_training.transformer import PADDING_SCORE, multi_head_attention

LENGTH_M = 500.0
TIME_NS = LENGTH_M / 0.299792458
# Columns of a pulse, in this order.
FEATURES = [
    {"column": "x", "unit": "m", "scale": LENGTH_M},
    {"column": "y", "unit": "m", "scale": LENGTH_M},
    {"column": "z", "unit": "m", "scale": LENGTH_M},
    {"column": "timeSinceFirstHlc", "unit": "ns", "scale": TIME_NS, "clip": [-6, 6]},
    {"column": "charge", "unit": "p.e.", "transform": "log10", "clip": [-2, 4]},
    {"column": "hlc", "unit": "1"},
    {"column": "quantumEfficiency", "unit": "1", "lookup": "physical", "offset": 1, "scale": 0.35},
    {"column": "scatteringLength", "unit": "m", "lookup": "physical", "transform": "ln", "offset": 3.2},
    {"column": "absorptionLength", "unit": "m", "lookup": "physical", "transform": "ln", "offset": 4.6},
]
TIME, CHARGE, HLC = 3, 4, 5

AUXILIARY_WEIGHT = 0.01  # of an auxiliary pulse beside a coincident one, so that an event without any has a middle too
REFIT_RADII = (0.5, 0.3, 0.2)  # of Cauchy weights around the line, units of length
SPEED_EPSILON = 1e-4
SCALES = (0.03, 0.2)  # on which short distances are told apart, units of length
GEOMETRY = 8  # columns that attention compares between pulses


@dataclass(frozen=True)
class NanoConfig:
    dim: int = 64
    layers: int = 3
    heads: int = 2
    mlp: int = 2  # width of the hidden layer, in multiples of dim
    pulses_max: int = 96

    def __post_init__(self) -> None:
        if self.dim % self.heads != 0 or self.dim // self.heads < 2:
            raise ValueError(
                f"dim {self.dim} does not split into {self.heads} heads of at least 2 dimensions: "
                "choose heads that divide dim"
            )


class Nano(Calibrated):
    """Pulses to a vector towards the source, whose length is the concentration kappa."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        dim = config.dim
        self.config = config
        self.embed1 = nn.Linear(len(FEATURES) + PLACED, dim)
        self.embed2 = nn.Linear(dim, dim)
        self.event1 = nn.Linear(EVENT, dim)
        self.event2 = nn.Linear(dim, dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(dim)
        self.score = nn.Linear(dim, 1)
        self.head1 = nn.Linear(3 * dim + EVENT, 2 * dim)
        self.head2 = nn.Linear(2 * dim, 3)
        self.line = nn.Linear(3, 3, bias=False)
        with torch.no_grad():
            # Initially the output is that of the line: opposite to the velocity.
            self.line.weight.copy_(-2 * torch.eye(3))
            self.head2.weight.mul_(0.1)
            self.head2.bias.zero_()

    def forward(self, pulses: Tensor, mask: Tensor) -> Tensor:
        """pulses [E, L, 9] float32, mask [E, L] bool with true for a pulse; answers vectors [E, 3]."""
        events, length, _ = pulses.shape
        present = mask.to(pulses.dtype)  # [E, L]
        placed, geometry, event, direction = see_from_the_middle(pulses, present)
        geometry = geometry.reshape(events * length, GEOMETRY)
        shared = self.event2(F.relu(self.event1(event)))  # [E, dim]
        x = torch.cat([pulses, placed], 2).reshape(events * length, -1)
        x = self.embed2(F.relu(self.embed1(x))).reshape(events, length, -1) + shared.unsqueeze(1)
        x = x.reshape(events * length, -1)  # [E * L, dim]
        for block in self.blocks:
            x = block(x, geometry, events, length)
        x = self.norm(x)
        scores = self.score(x).reshape(events, length) + (1 - present) * PADDING_SCORE
        x = x.reshape(events, length, -1)
        hlc = present * (pulses[:, :, HLC] + AUXILIARY_WEIGHT)
        weights = torch.stack([share(present), share(hlc), torch.softmax(scores, 1) * present], 1)  # [E, 3, L]
        pooled = torch.matmul(weights, x).reshape(events, -1)  # [E, 3 * dim]
        vector = self.head2(F.relu(self.head1(torch.cat([pooled, event], 1)))) + self.line(direction)
        return self.calibrate(vector)


PLACED = 3 + 1 + 3 + 1 + 1 + 1 + 1 + 3 * len(SCALES)
EVENT = 3 + 3 + 3 + 6 + 1 + 1 + 3


def share(weights: Tensor) -> Tensor:
    return weights / weights.sum(1, keepdim=True)


def see_from_the_middle(pulses: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Answers columns per pulse [E, L, PLACED], columns for attention [E, L, GEOMETRY], columns per event [E, EVENT],
    and the unit vector along which the robust line runs [E, 3]."""
    place, time = pulses[:, :, :3], pulses[:, :, TIME]
    weight = present * (pulses[:, :, HLC] + AUXILIARY_WEIGHT)  # [E, L]
    line = fit(place, time, weight)
    for radius in REFIT_RADII:
        distance2 = (line.offset - line.velocity.unsqueeze(1) * line.delay.unsqueeze(2)).square().sum(2)
        line = fit(place, time, weight / (1 + distance2 / radius**2))
    velocity, offset, delay = line.velocity, line.offset, line.delay
    speed = (velocity.square().sum(1, keepdim=True) + SPEED_EPSILON).sqrt()  # [E, 1]
    direction = velocity / speed
    along = torch.matmul(offset, direction.unsqueeze(2)).squeeze(2)  # [E, L]
    across = offset - along.unsqueeze(2) * direction.unsqueeze(1)  # [E, L, 3]
    far2 = offset.square().sum(2)  # [E, L]
    far = (far2 + 1e-6).sqrt()
    wide = (across.square().sum(2) + 1e-6).sqrt()
    late = delay - along  # after a plane that runs at light's speed
    columns = torch.stack([delay, along, far, wide, late], 2)  # [E, L, 5]
    near = torch.stack([delay, along, late], 2)
    soft = [near / (near.abs() + scale) for scale in SCALES]
    placed = torch.cat([offset, columns, across, *soft], 2)
    apart = far2 - delay * delay
    one = present
    geometry = torch.cat([4 * offset, torch.stack([4 * delay, 4 * apart, 4 * far2, one, 1 - present], 2)], 2)
    weighted = share(weight).unsqueeze(2) * offset
    spread = torch.matmul(weighted.transpose(1, 2), offset).reshape(-1, 9)[:, [0, 1, 2, 4, 5, 8]]
    charge = (torch.exp(2.302585 * pulses[:, :, CHARGE]) * weight).sum(1, keepdim=True)
    event = torch.cat(
        [
            velocity,
            direction,
            line.middle,
            spread * 4,
            line.variance.clamp(min=1e-6).sqrt(),
            speed,
            torch.log(1 + (pulses[:, :, HLC] * present).sum(1, keepdim=True)) / 3,
            torch.log(present.sum(1, keepdim=True)) / 3,
            torch.log(1e-3 + charge) / 3,
        ],
        1,
    )
    return placed, geometry, event, direction


@dataclass
class Line:
    velocity: Tensor  # [E, 3]
    middle: Tensor  # [E, 3]
    offset: Tensor  # [E, L, 3], of pulses from the middle
    delay: Tensor  # [E, L], of pulses after the middle
    variance: Tensor  # [E, 1], of times


def fit(place: Tensor, time: Tensor, weight: Tensor) -> Line:
    part = share(weight)  # [E, L]
    middle = torch.matmul(part.unsqueeze(1), place)  # [E, 1, 3]
    offset = place - middle
    delay = time - (part * time).sum(1, keepdim=True)
    variance = (part * delay * delay).sum(1, keepdim=True)
    covariance = torch.matmul((part * delay).unsqueeze(1), offset).squeeze(1)  # [E, 3]
    return Line(covariance / (variance + 1e-4), middle.squeeze(1), offset, delay, variance)


class Block(nn.Module):
    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.dim)
        self.fc1 = nn.Linear(config.dim, config.mlp * config.dim)
        self.fc2 = nn.Linear(config.mlp * config.dim, config.dim)

    def forward(self, x: Tensor, geometry: Tensor, events: int, length: int) -> Tensor:
        x = x + self.attention(self.norm1(x), geometry, events, length)
        return x + self.fc2(F.relu(self.fc1(self.norm2(x))))


class Attention(nn.Module):
    """Self-attention whose scores also compare where and when pulses are, which with the squares among the columns
    of `geometry` can be the space-time interval between two pulses.

    Dimension 0 of each head hides padding as in transformer.py: the last column of `geometry` is 1 there.
    """

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        dim = config.dim
        self.heads = config.heads
        head_size = dim // config.heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim, bias=False)
        self.v = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.q_geometry = nn.Parameter(torch.randn(GEOMETRY, dim) * 0.2)
        self.k_geometry = nn.Parameter(torch.randn(GEOMETRY, dim) * 0.2)
        reserved = (torch.arange(dim) % head_size == 0).float()  # [dim]: 1 at dimension 0 of each head
        is_padded = torch.zeros(GEOMETRY, 1)
        is_padded[-1] = 1
        self.register_buffer("free", 1 - reserved, persistent=False)
        self.register_buffer("free_pulse", (1 - reserved) * (1 - is_padded), persistent=False)  # [GEOMETRY, dim]
        self.register_buffer("q_reserved", reserved * head_size**0.5, persistent=False)
        self.register_buffer("k_reserved", is_padded * reserved * PADDING_SCORE, persistent=False)
        with torch.no_grad():
            self.out.weight.mul_(0.5)

    def forward(self, x: Tensor, geometry: Tensor, events: int, length: int) -> Tensor:
        # Everything but x and geometry is folded into the weights at export.
        q_place = torch.addmm(self.q.bias * self.free + self.q_reserved, geometry, self.q_geometry * self.free_pulse)
        k_place = torch.mm(geometry, self.k_geometry * self.free_pulse + self.k_reserved)
        q = torch.addmm(q_place, x, (self.q.weight * self.free.unsqueeze(1)).T)
        k = torch.addmm(k_place, x, (self.k.weight * self.free.unsqueeze(1)).T)
        q, k, v = (part.reshape(events, length, -1) for part in (q, k, self.v(x)))  # [E, L, dim]
        mixed = multi_head_attention(q, k, v, self.heads)  # [E, L, dim]
        return self.out(mixed.reshape(events * length, -1))


def nano_manifest(config: NanoConfig) -> Manifest:
    return {
        "formatVersion": 1,
        "name": "nano",
        "version": "1",
        "description": f"Transformer of {config.layers} layers, {config.dim} wide, on a line fit of its own; "
        "trained on simulated events",
        "licence": "Apache-2.0",
        "origin": "made by training/ of nustream from events of nustream simulate",
        "training": {"dataDigest": None},
        "pulses": {"max": config.pulses_max, "prefer": "hlc", "by": "spread", "order": "time"},
        "inputs": [
            {"name": "pulses", "layout": "padded", "dtype": "float32", "features": FEATURES},
            {"name": "mask", "layout": "mask", "dtype": "bool", "trueMeans": "pulse"},
        ],
        "output": {"meaning": "vector-kappa", "tensor": "direction", "axes": ["x", "y", "z"], "points": "source"},
        "parity": "parity.json",
    }
