"""Weights that make answers differ from event to event, without training."""

import math

import torch
from torch import nn

GAIN = 2.5
BIAS = 0.2


def draw_weights(module: nn.Module) -> None:
    """Wider than torch's own: with those, a network that was never trained answers nearly the same to all events.

    Norms keep their ones and zeros.
    """
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.LayerNorm):
                continue
            for parameter in part.parameters(recurse=False):
                is_bias = parameter.dim() == 1
                parameter.normal_(std=BIAS if is_bias else GAIN / math.sqrt(parameter.shape[1]))
