"""The manifest of an IceMix network: inputs as in its training, axes y, x, z, length kappa."""

from nustream_training.features import Manifest
from nustream_training.icemix_sizes import IceMixConfig

PULSES_MAX = 192  # of the training of the published weights; their authors found 768 better for inference

_POSITION = [{"column": axis, "unit": "m", "scale": 500} for axis in "xyz"]
_CHARGE = {"column": "charge", "unit": "p.e.", "transform": "log10", "scale": 3}
_TIME = {"column": "time", "unit": "ns", "offset": 10_000, "scale": 30_000}
_AUXILIARY = {"column": "auxiliary", "unit": "1"}
_EFFICIENCY = {"column": "quantumEfficiency", "unit": "1", "lookup": "icemix"}
# Median and interquartile range over the table of 110 depths.
_ICE = [
    {"column": "scatteringLength", "unit": "m", "lookup": "icemix", "offset": 32.4, "scale": 27.175},
    {"column": "absorptionLength", "unit": "m", "lookup": "icemix", "offset": 111.8, "scale": 89.325},
]
_COUNT = {"column": "pulseCount", "unit": "1"}  # before cutting


def icemix_manifest(
    config: IceMixConfig,
    *,
    name: str,
    version: str,
    description: str,
    licence: str,
    origin: str,
    pulses_max: int = PULSES_MAX,
) -> Manifest:
    """The inputs are in the order of IceMix.forward."""
    inputs = [
        {"name": "pos", "layout": "padded", "dtype": "float32", "features": _POSITION},
        {"name": "charge", "layout": "padded-column", "dtype": "float32", "features": [_CHARGE]},
        {"name": "time", "layout": "padded-column", "dtype": "float32", "features": [_TIME]},
        {"name": "auxiliary", "layout": "padded-column", "dtype": "int64", "features": [_AUXILIARY]},
        {"name": "mask", "layout": "mask", "dtype": "bool", "trueMeans": "pulse"},
        {"name": "pulse_count", "layout": "event-column", "dtype": "int64", "features": [_COUNT]},
    ]
    if config.first_graph is not None:
        inputs += [
            {"name": "qe", "layout": "padded-column", "dtype": "float32", "features": [_EFFICIENCY]},
            {"name": "ice_properties", "layout": "padded", "dtype": "float32", "features": _ICE},
        ]
    return {
        "formatVersion": 1,
        "name": name,
        "version": version,
        "description": description,
        "licence": licence,
        "origin": origin,
        "training": {"dataDigest": None},
        # The published inference selects pulses at random; this selection is similar but reproducible.
        "pulses": {"max": pulses_max, "prefer": "hlc", "by": "spread", "order": "time"},
        "inputs": inputs,
        "output": {"meaning": "vector-kappa", "tensor": "p", "axes": ["y", "x", "z"], "points": "source"},
        "parity": "parity.json",
    }
