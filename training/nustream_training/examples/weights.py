"""Random weights for which the outputs differ from event to event."""

import math

import torch
from torch import nn

GAIN = 2.5
BIAS = 0.2


def draw_weights(module: nn.Module) -> None:
    """Wider than torch's defaults, with which an untrained network gives nearly the same output for all events.

    Norms keep ones and zeros.
    """
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.LayerNorm):
                continue
            for parameter in part.parameters(recurse=False):
                is_bias = parameter.dim() == 1
                parameter.normal_(std=BIAS if is_bias else GAIN / math.sqrt(parameter.shape[1]))
