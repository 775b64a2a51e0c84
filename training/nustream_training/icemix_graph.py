"""The graph network inside two of the IceMix networks (V22, V23): DynEdge, with nearest neighbours found densely.

It uses no sparse operators: the work that a graph library does per edge is done for all pulses of all events at once,
so that it exports to ONNX and masks padding.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NEIGHBOURS = 8
NODE_COLUMNS = 9  # x, y, z, time, auxiliary, quantum efficiency, charge, scattering and absorption length
HOMOPHILIES = 4  # of x, y, z and time
LAYERS = ((128, 256), (336, 256), (336, 256), (336, 256))
AFTER = 336
READOUT = 128


class Edges(NamedTuple):
    """Up to K neighbours of each pulse; K is 9, because the nearest nine may hold the pulse itself or not."""

    rows: Tensor  # [E * L * K] int64: where the neighbour stands in a matrix [E * L, ...]
    exist: Tensor  # [E, L, K] bool


class DynEdge(nn.Module):
    """Edge convolutions over the nearest neighbours, sought anew after each in the first three latent columns."""

    def __init__(self, out: int, first_columns: int) -> None:
        super().__init__()
        self.first_columns = first_columns
        sizes = [2 * NODE_COLUMNS + HOMOPHILIES + 1]
        self._conv_layers = nn.ModuleList()
        for hidden, size in LAYERS:
            self._conv_layers.append(EdgeConvolution(sizes[-1], hidden, size))
            sizes.append(size)
        self._post_processing = mlp(sum(sizes), AFTER, out)
        # Published with the weights but unused: the authors take the layer before it.
        self._readout = nn.Sequential(nn.Linear(out, READOUT), nn.LayerNorm(READOUT), nn.GELU())

    def forward(self, nodes: Tensor, mask: Tensor, log_count: Tensor) -> Tensor:
        """nodes [E, L, 9], mask [E, L] bool, log_count [E]. Answers [E * L, out]."""
        events, length = mask.shape
        edges = nearest(nodes[:, :, : self.first_columns], mask)
        whole = torch.cat([means(nodes, mask), homophilies(nodes, edges), log_count.unsqueeze(1)], dim=1)  # [E, 14]
        x = torch.cat([nodes, whole.unsqueeze(1).expand(-1, length, -1)], dim=2).reshape(events * length, -1)
        layers = [x]
        for i, convolution in enumerate(self._conv_layers):
            if i > 0:
                edges = nearest(x.reshape(events, length, -1)[:, :, :3], mask)
            x = convolution(x, edges)
            layers.append(x)
        return self._post_processing(torch.cat(layers, dim=1))


class EdgeConvolution(nn.Module):
    """Sums nn([x_i, x_j - x_i]) over the neighbours j of each pulse i."""

    def __init__(self, size: int, hidden: int, out: int) -> None:
        super().__init__()
        self.nn = mlp(2 * size, hidden, out)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """x [E * L, size]; answers [E * L, out]."""
        first, *rest = self.nn
        size, neighbours = x.shape[1], edges.exist.shape[2]
        of_pulse, of_edge = first.weight[:, :size], first.weight[:, size:]
        apart = x[edges.rows].reshape(-1, neighbours, size) - x.unsqueeze(1)  # [E * L, K, size]
        # The terms of a pulse are multiplied once, not once per edge.
        along = F.linear(apart.reshape(-1, size), of_edge).reshape(-1, neighbours, first.out_features)
        hidden = along + F.linear(x, of_pulse, first.bias).unsqueeze(1)
        hidden = hidden.reshape(-1, first.out_features)
        for layer in rest:
            hidden = layer(hidden)
        weights = edges.exist.to(x.dtype).reshape(-1, 1, neighbours)
        return torch.matmul(weights, hidden.reshape(-1, neighbours, hidden.shape[1])).squeeze(1)


def mlp(size: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, out), nn.LayerNorm(out), nn.GELU()
    )


def nearest(points: Tensor, mask: Tensor) -> Edges:
    """points [E, L, D]. Of the nine nearest pulses, those that are not the pulse itself.

    Of pulses equally far the earlier row comes first, so a pulse with nine or more twins before it is not among its own
    nearest and keeps nine neighbours. Distances are sums of squared differences: ties of one sensor are exact.
    """
    events, length = mask.shape
    apart = squared_distances(points)  # [E, L, L]
    apart = apart.masked_fill(~mask.unsqueeze(1), math.inf)
    # Ensures nine columns even if there are fewer pulses.
    apart = F.pad(apart, (0, NEIGHBOURS), value=math.inf)  # [E, L, L + 8]
    distance, column = lowest(apart, NEIGHBOURS + 1)  # [E, L, 9]
    own = torch.arange(length, device=mask.device)
    exist = (distance < math.inf) & (column != own[:, None]) & mask.unsqueeze(2)
    start = torch.arange(events, device=mask.device)[:, None, None] * length
    rows = start + torch.where(exist, column, torch.zeros_like(column))
    return Edges(rows.reshape(-1), exist)


def differences(x: Tensor) -> Tensor:
    """[E, L] to [E, L, L]: of pulse i minus of pulse j."""
    return x.unsqueeze(2) - x.unsqueeze(1)


def square(x: Tensor) -> Tensor:
    """Not Tensor.square, which ONNX has as a power."""
    return x * x


def squared_distances(points: Tensor) -> Tensor:
    """[E, L, D] to [E, L, L], by differences: |a|² + |b|² - 2ab in float32 would move directions by 1e-2 rad."""
    first, *rest = (square(differences(axis)) for axis in points.unbind(2))
    for axis in rest:
        first = first + axis
    return first


def lowest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` lowest of the last axis and where they stand; of equal ones the earlier first."""
    if torch.compiler.is_exporting():  # ONNX's TopK keeps the earlier of equal values; torch's does not specify it
        return torch.topk(values, count, dim=-1, largest=False, sorted=True)
    ordered, order = torch.sort(values, dim=-1, stable=True)
    return ordered[..., :count], order[..., :count]


def means(nodes: Tensor, mask: Tensor) -> Tensor:
    """[E, 9]"""
    weights = mask.to(nodes.dtype)
    total = torch.matmul(weights.unsqueeze(1), nodes).squeeze(1)
    return total / weights.sum(1, keepdim=True)


def homophilies(nodes: Tensor, edges: Edges) -> Tensor:
    """Share of the event's edges whose two ends have equal x, y, z, time; 0 where there is no edge. [E, 4]"""
    events, length, neighbours = edges.exist.shape
    columns = nodes[:, :, :HOMOPHILIES]
    there = columns.reshape(-1, HOMOPHILIES)[edges.rows].reshape(events, length, neighbours, HOMOPHILIES)
    is_equal = (there == columns.unsqueeze(2)) & edges.exist.unsqueeze(3)
    count = edges.exist.to(nodes.dtype).sum((1, 2)).clamp(min=1)
    return is_equal.to(nodes.dtype).sum((1, 2)) / count.unsqueeze(1)
