"""Tiny models with random weights, one for each form of a manifest. They are not trained.

Each module has `build()`, which returns a torch module and its manifest; the weights are drawn from torch's generator.
"""

from collections.abc import Callable

from torch import nn

from nustream_training.examples import azimuth_zenith, flat_lengths, icemix_axes, raw_mask
from nustream_training.features import Manifest

EXAMPLES: dict[str, Callable[[], tuple[nn.Module, Manifest]]] = {
    "raw-mask": raw_mask.build,
    "icemix-axes": icemix_axes.build,
    "flat-lengths": flat_lengths.build,
    "azimuth-zenith": azimuth_zenith.build,
}
