"""A small transformer in the shape that ONNX Runtime runs fastest on a CPU.

What makes it fast, each measured: tokens stay a plain matrix [tokens, dim] outside attention, so that every linear
layer is one Gemm with its bias inside; attention is one fused operator (com.microsoft.MultiHeadAttention) without a
mask input, because a mask input switches its flash path off; padding is hidden by one reserved dimension of each
head instead; and padded keys score -50 rather than -10,000, because the exponential of the latter is a denormal
number, on which a CPU is many times slower.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nustream_training.features import Manifest

# exp(-50) is 2e-22: nothing beside a real pulse, yet far from float32's denormals, which begin at exp(-87).
PADDING_SCORE = -50.0


@dataclass(frozen=True)
class TransformerConfig:
    features: int = 8  # columns of a pulse
    dim: int = 64
    layers: int = 4
    heads: int = 4
    mlp: int = 2  # width of the hidden layer, in multiples of dim

    def __post_init__(self) -> None:
        if min(self.features, self.layers, self.heads, self.mlp) < 1:
            raise ValueError(f"features, layers, heads and mlp must be at least 1, got {self}")
        if self.dim % self.heads != 0 or self.dim // self.heads < 2:
            raise ValueError(
                f"dim {self.dim} does not split into {self.heads} heads of at least 2 dimensions: "
                "choose heads that divide dim"
            )


class Transformer(nn.Module):
    """Pulses to a vector towards the source: embed, attend `layers` times, average over pulses, project."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(config.features, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, 3)

    def forward(self, pulses: Tensor, mask: Tensor) -> Tensor:
        """pulses [E, L, F] float32, mask [E, L] bool with true for a pulse; answers vectors [E, 3]."""
        events, length, features = pulses.shape
        x = self.embed(pulses.reshape(-1, features))  # [E * L, dim]
        padded = (~mask).to(x.dtype).reshape(-1, 1)  # [E * L, 1]
        for block in self.blocks:
            x = block(x, padded, events, length)
        weights = mask.to(x.dtype)  # [E, L]
        # A weighted sum as a matrix product: [E, 1, L] @ [E, L, dim].
        total = torch.matmul(weights.unsqueeze(1), x.reshape(events, length, -1)).squeeze(1)  # [E, dim]
        mean = total / weights.sum(1, keepdim=True)
        return self.head(self.norm(mean))


class Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.dim)
        self.fc1 = nn.Linear(config.dim, config.mlp * config.dim)
        self.fc2 = nn.Linear(config.mlp * config.dim, config.dim)

    def forward(self, x: Tensor, padded: Tensor, events: int, length: int) -> Tensor:
        x = x + self.attention(self.norm1(x), padded, events, length)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Attention(nn.Module):
    """Multi-head self-attention whose padding mask lives in dimension 0 of each head.

    There q is sqrt(head size) and k is -50 for padding and 0 for a pulse, so that q.k / sqrt(head size) gains exactly
    -50 for a padded key. Keys need no bias otherwise: softmax does not see what is the same for all keys.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        head_size = config.dim // config.heads
        self.q = nn.Linear(config.dim, config.dim)
        self.k = nn.Linear(config.dim, config.dim, bias=False)
        self.v = nn.Linear(config.dim, config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        reserved = (torch.arange(config.dim) % head_size == 0).float()  # [dim]: 1 at dimension 0 of each head
        self.register_buffer("free", 1 - reserved)
        self.register_buffer("q_reserved", reserved * head_size**0.5)
        self.register_buffer("k_reserved", (reserved * PADDING_SCORE).unsqueeze(0))  # [1, dim]

    def forward(self, x: Tensor, padded: Tensor, events: int, length: int) -> Tensor:
        # The buffers are folded into the weights at export, so the reserved dimensions cost nothing at run time.
        q = F.linear(x, self.q.weight * self.free.unsqueeze(1), self.q.bias * self.free + self.q_reserved)
        k = torch.addmm(padded @ self.k_reserved, x, (self.k.weight * self.free.unsqueeze(1)).T)
        q, k, v = (part.reshape(events, length, -1) for part in (q, k, self.v(x)))  # [E, L, dim]
        mixed = multi_head_attention(q, k, v, self.heads)  # [E, L, dim]
        return self.out(mixed.reshape(events * length, -1))


def multi_head_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Softmax attention of [E, L, dim] tensors; one operator of ONNX Runtime's own when exported."""
    if torch.compiler.is_exporting():
        return torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            (q, k, v),
            {"num_heads": heads},
            dtype=q.dtype,
            shape=q.shape,
            version=1,
        )
    events, length, dim = q.shape
    q, k, v = (part.view(events, length, heads, -1).transpose(1, 2) for part in (q, k, v))  # [E, H, L, dim / H]
    mixed = F.scaled_dot_product_attention(q, k, v)
    return mixed.transpose(1, 2).reshape(events, length, dim)


def transformer_manifest(config: TransformerConfig) -> Manifest:
    """Of a transformer with random weights, capped at 128 pulses, for measuring speed."""
    features = [
        {"column": "x", "unit": "m", "scale": 500},
        {"column": "y", "unit": "m", "scale": 500},
        {"column": "z", "unit": "m", "scale": 500},
        {"column": "time", "unit": "ns", "offset": 10_000, "scale": 3_000},
        {"column": "charge", "unit": "p.e.", "transform": "log10"},
        {"column": "auxiliary", "unit": "1"},
        {"column": "scatteringLength", "unit": "m", "lookup": "physical", "scale": 50},
        {"column": "absorptionLength", "unit": "m", "lookup": "physical", "scale": 200},
    ]
    shape = f"d{config.dim}x{config.layers}"
    return {
        "formatVersion": 1,
        "name": f"transformer-{shape}",
        "version": f"heads{config.heads}-mlp{config.mlp}",
        "description": f"Random weights: a transformer of {config.layers} layers, {config.dim} wide, "
        f"{config.heads} heads, MLP x{config.mlp}, for measuring speed",
        "licence": "Apache-2.0",
        "origin": "made by training/ of nustream, not trained",
        "training": {"dataDigest": None},
        "pulses": {"max": 128, "prefer": "hlc", "by": "time", "order": "time"},
        "inputs": [
            {"name": "pulses", "layout": "padded", "dtype": "float32", "features": features},
            {"name": "mask", "layout": "mask", "dtype": "bool", "trueMeans": "pulse"},
        ],
        "output": {"meaning": "vector", "tensor": "direction", "axes": ["x", "y", "z"], "points": "source"},
        "parity": "parity.json",
    }
