"""IceMix: the networks that came second in "IceCube - Neutrinos in Deep Ice", written from their published description.

Names of modules and parameters are those of the published state_dicts, so that weights load as they are. Tokens stay a
plain matrix [events * pulses, dim] outside attention, so that each linear layer becomes one Gemm in ONNX.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nustream_training.icemix_graph import DynEdge, differences, square, squared_distances
from nustream_training.icemix_sizes import IceMixConfig

POSITION_FACTOR = 4096  # of pos, so of 500 m
CHARGE_FACTOR = 1024  # of log10(charge) / 3
TIME_FACTOR = 4096  # of 30,000 ns
INTERVAL_FACTOR = 1024
INTERVAL_MAX = 4
LIGHT_PER_TIME = 18  # one unit of time in units of 500 m, at exactly 0.3 m/ns, as the published weights were trained
PERIOD_MAX = 10_000
HIDDEN = 4  # width of the hidden layer of an MLP, in multiples of dim


class IceMix(nn.Module):
    """Pulses to a vector (y, x, z) towards the source, whose length is the concentration kappa."""

    def __init__(self, config: IceMixConfig) -> None:
        super().__init__()
        self.config = config
        self.extractor = Extractor(config)
        self.rel_pos = Relation(config.head)
        if config.first_graph is not None:
            self.local_root = DynEdge(config.dim // 2, len(config.first_graph))
        self.sandwich = nn.ModuleList(RelationBlock(config) for _ in range(config.depth_rel))
        self.cls_token = nn.Linear(config.dim, 1, bias=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.proj_out = nn.Linear(config.dim, 3)

    def forward(
        self,
        pos: Tensor,
        charge: Tensor,
        time: Tensor,
        auxiliary: Tensor,
        mask: Tensor,
        pulse_count: Tensor,
        qe: Tensor | None = None,
        ice_properties: Tensor | None = None,
    ) -> Tensor:
        """Values as icemix_manifest.py normalises them; padding may hold any finite values. Answers [E, 3]: y, x, z.

        pos [E, L, 3], charge, time [E, L] float32; auxiliary [E, L] int64; mask [E, L] bool, true for a pulse;
        pulse_count [E] int64, before cutting. Only with a graph: qe [E, L], ice_properties [E, L, 2] float32.
        """
        events, length = mask.shape
        count = pulse_count.to(pos.dtype).log10()  # [E]
        x = self.extractor(pos, charge, time, auxiliary, count)  # [E * L, extractor_dim]
        if self.config.first_graph is not None:
            columns = [time, auxiliary.to(pos.dtype), qe, charge]  # each [E, L]
            nodes = torch.cat([pos, *(column.unsqueeze(2) for column in columns), ice_properties], dim=2)  # [E, L, 9]
            x = torch.cat([x, self.local_root(nodes, mask, count)], dim=1)
        x = self.relate(x, pos, time, mask)
        x = x.reshape(events, length, -1)
        x = torch.cat([self.cls_token.weight.expand(events, 1, -1), x], dim=1)  # [E, 1 + L, dim]
        bias = key_bias(torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1), x.dtype)
        x = x.reshape(events * (length + 1), -1)
        for block in self.blocks[:-1]:
            x = block(x, bias)
        return self.proj_out(self.blocks[-1](x, bias, only_first=True))

    def relate(self, x: Tensor, pos: Tensor, time: Tensor, mask: Tensor) -> Tensor:
        bias = key_bias(mask, x.dtype)
        waves = self.rel_pos.waves(pos, time)  # [E, L, L, head]
        for i, block in enumerate(self.sandwich):
            x = block(x, bias, self.rel_pos.proj, waves) if i < self.config.n_rel else block(x, bias)
        return x


class Sinusoids(nn.Module):
    """[...] to [..., dim]: all sines, then all cosines, of dim / 2 frequencies from 1 down to nearly 1 / 10,000."""

    def __init__(self, dim: int, scaled: bool = False) -> None:
        super().__init__()
        half = dim // 2
        frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * (-math.log(PERIOD_MAX) / half))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.scale = nn.Parameter(torch.ones(1) * dim**-0.5) if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        angles = x.unsqueeze(-1) * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return waves if self.scale is None else waves * self.scale


class Extractor(nn.Module):
    """Embeds each pulse as a token."""

    def __init__(self, config: IceMixConfig) -> None:
        super().__init__()
        base, scaled = config.base, config.first_graph is not None
        self.pos = Sinusoids(base, scaled)
        self.emb_charge = Sinusoids(base, scaled)
        self.time = Sinusoids(base, scaled)
        self.aux_emb = nn.Embedding(2, base // 2)
        self.emb2 = Sinusoids(base // 2, scaled)
        wide = 6 * base
        self.proj = nn.Sequential(
            nn.Linear(wide, wide), nn.LayerNorm(wide), nn.GELU(), nn.Linear(wide, config.extractor_dim)
        )

    def forward(self, pos: Tensor, charge: Tensor, time: Tensor, auxiliary: Tensor, count: Tensor) -> Tensor:
        """Answers [E * L, extractor_dim]."""
        events, length = charge.shape
        embedded = [
            self.pos(POSITION_FACTOR * pos).flatten(2),  # [E, L, 3 * base]: x, then y, then z
            self.emb_charge(CHARGE_FACTOR * charge),
            self.time(TIME_FACTOR * time),
            self.aux_emb(auxiliary),
            self.emb2(count).unsqueeze(1).expand(-1, length, -1),  # the same on each pulse
        ]
        return self.proj(torch.cat(embedded, dim=2).reshape(events * length, -1))


class Relation(nn.Module):
    """Relations of pulses in space and time: R[i, j] = proj(waves[i, j]), shared by all heads."""

    def __init__(self, head: int) -> None:
        super().__init__()
        self.emb = Sinusoids(head)
        self.proj = nn.Linear(head, head)

    def waves(self, pos: Tensor, time: Tensor) -> Tensor:
        """Of the space-time interval of each pair. [E, L, L, head]"""
        interval2 = squared_distances(pos) - square(differences(time) * LIGHT_PER_TIME)
        interval = interval2.sign() * interval2.abs().sqrt()
        return self.emb(INTERVAL_FACTOR * interval.clamp(-INTERVAL_MAX, INTERVAL_MAX))


class RelationBlock(nn.Module):
    def __init__(self, config: IceMixConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.attn = RelationAttention(config)
        self.norm2 = nn.LayerNorm(config.dim)
        self.mlp = Mlp(config.dim)

    def forward(self, x: Tensor, bias: Tensor, proj: nn.Linear | None = None, waves: Tensor | None = None) -> Tensor:
        x = x + self.attn(self.norm1(x), bias, proj, waves)
        return x + self.mlp(self.norm2(x))


class RelationAttention(nn.Module):
    """Attention in which R[i, j] adds to the key and to the value that query i sees of pulse j.

    R is never computed. With R = W w + b, q.R is (W'q).w + q.b, of which q.b is the same for all keys and drops out
    of the softmax; and the mean of R under the attention is W (mean of w) + b, because attention sums to 1.
    """

    def __init__(self, config: IceMixConfig) -> None:
        super().__init__()
        self.heads, self.head = config.heads, config.head
        self.proj_q = nn.Linear(config.dim, config.dim, bias=False)
        self.proj_k = nn.Linear(config.dim, config.dim, bias=False)
        self.proj_v = nn.Linear(config.dim, config.dim, bias=False)
        self.proj = nn.Linear(config.dim, config.dim)

    def forward(self, x: Tensor, bias: Tensor, proj: nn.Linear | None, waves: Tensor | None) -> Tensor:
        """x [E * L, dim], bias [E, 1, 1, L], waves [E, L, L, head]."""
        events, length = bias.shape[0], bias.shape[3]
        q = F.linear(x, self.proj_q.weight * self.head**-0.5).reshape(events, length, self.heads, self.head)
        k, v = (part(x).reshape(events, length, self.heads, self.head) for part in (self.proj_k, self.proj_v))
        k, v = k.transpose(1, 2), v.transpose(1, 2)  # [E, H, L, head]
        if waves is None:
            mixed = attend(q.transpose(1, 2), k, v, bias).transpose(1, 2)
        else:
            # [E, L, H, head] @ [E, L, head, L], then heads first.
            related = torch.matmul(torch.matmul(q, proj.weight), waves.transpose(2, 3)).transpose(1, 2)
            weights = softmax(torch.matmul(q.transpose(1, 2), k.transpose(2, 3)) + related + bias)  # [E, H, L, L]
            mean = torch.matmul(weights.transpose(1, 2), waves)  # [E, L, H, head]
            mixed = torch.matmul(weights, v).transpose(1, 2) + F.linear(mean, proj.weight, proj.bias)
        return self.proj(mixed.reshape(events * length, -1))


class Block(nn.Module):
    def __init__(self, config: IceMixConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.attn = Attention(config)
        self.norm2 = nn.LayerNorm(config.dim)
        self.mlp = Mlp(config.dim)
        self.gamma_1 = nn.Parameter(torch.ones(config.dim))
        self.gamma_2 = nn.Parameter(torch.ones(config.dim))

    def forward(self, x: Tensor, bias: Tensor, only_first: bool = False) -> Tensor:
        """x [E * T, dim], bias [E, 1, 1, T]; `only_first` answers the first token of each event alone, [E, dim]."""
        normed = self.norm1(x)
        if only_first:
            x = x.reshape(bias.shape[0], -1, x.shape[1])[:, 0]
        x = x + self.gamma_1 * self.attn(normed, bias, only_first)
        return x + self.gamma_2 * self.mlp(self.norm2(x))


class Attention(nn.Module):
    """Multi-head attention with the parameters of torch.nn.MultiheadAttention."""

    def __init__(self, config: IceMixConfig) -> None:
        super().__init__()
        self.heads, self.head = config.heads, config.head
        self.in_proj_weight = nn.Parameter(torch.empty(3 * config.dim, config.dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * config.dim))
        self.out_proj = nn.Linear(config.dim, config.dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, bias: Tensor, only_first: bool) -> Tensor:
        events, tokens, dim = bias.shape[0], bias.shape[3], x.shape[1]
        weights = [self.in_proj_weight[i * dim : (i + 1) * dim] for i in range(3)]
        biases = [self.in_proj_bias[i * dim : (i + 1) * dim] for i in range(3)]
        asking = x.reshape(events, tokens, dim)[:, 0] if only_first else x  # [E * Q, dim]
        scale = self.head**-0.5
        q = F.linear(asking, weights[0] * scale, biases[0] * scale)
        k, v = (F.linear(x, weights[i], biases[i]) for i in (1, 2))
        q, k, v = (part.reshape(events, -1, self.heads, self.head).transpose(1, 2) for part in (q, k, v))
        mixed = attend(q, k, v, bias).transpose(1, 2)  # [E, Q, H, head]
        return self.out_proj(mixed.reshape(-1, dim))


class Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, HIDDEN * dim)
        self.fc2 = nn.Linear(HIDDEN * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def key_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """[E, L] bool, true for a pulse, to [E, 1, 1, L]: minus infinity hides a key, whatever the others score."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, -math.inf)[:, None, None, :]


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """[E, H, Q, head], twice [E, H, L, head]; q is scaled already. Answers [E, H, Q, head]."""
    return torch.matmul(softmax(torch.matmul(q, k.transpose(2, 3)) + bias), v)


def softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def draw_all(module: nn.Module) -> None:
    """Draws every parameter at random, also biases, norms and layer scales, so that a 0 or 1 hides no error."""
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            is_gain = "gamma" in key or key.endswith("scale") or (parameter.dim() == 1 and key.endswith("weight"))
            spread = 0.3 if parameter.dim() == 1 else 1.2 * parameter.shape[1] ** -0.5
            parameter.normal_(mean=1.0 if is_gain else 0.0, std=spread)
