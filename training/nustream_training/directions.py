"""Converts a network's outputs to directions, as its manifest describes."""

from dataclasses import dataclass

import numpy as np

from nustream_training.features import Manifest, Tensors


@dataclass(frozen=True)
class Directions:
    """Directions to the sources. All arrays are [events]; angles in radians."""

    azimuth: np.ndarray  # 0 to 2 pi, anticlockwise from +x
    zenith: np.ndarray  # 0 (straight down-going) to pi
    kappa: np.ndarray | None  # concentration, if the network gives one
    degenerate: np.ndarray | None  # bool, if the network gives it

    def vectors(self) -> np.ndarray:
        """Unit vectors to the source. [events, 3]"""
        return to_vectors(self.azimuth, self.zenith)


def output_names(output: Manifest) -> list[str]:
    """Names of the output tensors, in the order in which the torch module returns them."""
    names = list(output["tensors"]) if output["meaning"] == "azimuth-zenith" else [output["tensor"]]
    names += [output[extra]["tensor"] for extra in ("kappa", "degenerate") if extra in output]
    return list(dict.fromkeys(names))


def read_directions(outputs: Tensors, output: Manifest) -> Directions:
    vectors = _vectors(outputs, output)
    length = np.linalg.norm(vectors, axis=1)
    if not np.all(np.isfinite(length) & (length > 0)):
        event = int(np.argmin(np.isfinite(length) & (length > 0)))
        raise ValueError(f"the network returned the vector {vectors[event]} for event {event}")
    kappa = length if output["meaning"] == "vector-kappa" else None
    if "kappa" in output:
        kappa = outputs[output["kappa"]["tensor"]].astype(np.float64).reshape(-1)
        kappa = np.exp(kappa) if output["kappa"].get("transform") == "exp" else kappa
    x, y, z = (vectors if output["points"] == "source" else -vectors).T
    degenerate = outputs[output["degenerate"]["tensor"]].reshape(-1) != 0 if "degenerate" in output else None
    # atan2 keeps full precision near the poles, where acos loses half the digits.
    return Directions(np.arctan2(y, x) % (2 * np.pi), np.arctan2(np.hypot(x, y), z), kappa, degenerate)


def to_vectors(azimuth: np.ndarray, zenith: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(azimuth) * np.sin(zenith), np.sin(azimuth) * np.sin(zenith), np.cos(zenith)], axis=-1)


def angular_distance(a: Directions, b: Directions) -> np.ndarray:
    """Opening angles in radians, [events]; exact for small ones."""
    va, vb = a.vectors(), b.vectors()
    return np.arctan2(np.linalg.norm(np.cross(va, vb), axis=1), (va * vb).sum(1))


def _vectors(outputs: Tensors, output: Manifest) -> np.ndarray:
    """[events, 3] float64 in the order x, y, z."""
    if output["meaning"] != "azimuth-zenith":
        values = outputs[output["tensor"]].astype(np.float64)  # [E, 3] in the network's order of axes
        return values[:, [output["axes"].index(axis) for axis in "xyz"]]
    tensors = [outputs[name].astype(np.float64) for name in output["tensors"]]
    angles = tensors[0] if len(tensors) == 1 else np.stack([tensor.reshape(-1) for tensor in tensors], axis=1)
    azimuth, zenith = (angles[:, output["order"].index(name)] for name in ("azimuth", "zenith"))
    return to_vectors(azimuth, zenith)
