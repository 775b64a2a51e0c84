"""The detector: sensor positions and optical properties of the ice.

The tables are read from src/event, so that there is only one copy.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np

EVENT_FOLDER = Path(__file__).resolve().parents[2] / "src" / "event"
SENSORS_PER_STRING = 60
SENSOR_COUNT = 5160
FIRST_DEEP_CORE_STRING = 78
FIRST_HIGH_EFFICIENCY_DOM = 10
CENTRE_DEPTH_M = 1948.07  # of z = 0 below the surface, arXiv:1612.05093
ICEMIX_CENTRE_DEPTH_M = 1950.0


@cache
def sensor_positions() -> np.ndarray:
    """[5160, 3] float32: x, y, z in metres, origin at the detector's centre, z up."""
    source = _read("sensor-table.ts")
    strings = _template(source, "STRINGS_CM").strip().splitlines()
    drift = [[int(cm) for cm in place.split(",")] for place in _template(source, "DRIFT_CM").split()]
    drifting = int(re.search(r"DRIFTING_STRING\s*=\s*(\d+)", source)[1])
    positions = np.zeros((SENSOR_COUNT, 3))
    for string, line in enumerate(strings):
        x, y, top, *steps = line.split()
        z = int(top) - np.cumsum([0, *(step for text in steps for step in _steps(text))])
        rows = slice(string * SENSORS_PER_STRING, (string + 1) * SENSORS_PER_STRING)
        positions[rows, :2] = drift if string == drifting else [int(x), int(y)]
        positions[rows, 2] = z
    return (positions / 100).astype(np.float32)


def string_of(sensor_id: np.ndarray) -> np.ndarray:
    """Index of the string, 0 to 85."""
    return sensor_id // SENSORS_PER_STRING


def dom_of(sensor_id: np.ndarray) -> np.ndarray:
    """Position on the string, 0 (top) to 59."""
    return sensor_id % SENSORS_PER_STRING


def quantum_efficiency(sensor_id: np.ndarray, lookup: str) -> np.ndarray:
    """`physical`: 1.35 for DeepCore's high-efficiency sensors, otherwise 1; `icemix`: 1 or 0 as IceMix was trained."""
    string, dom = string_of(sensor_id), dom_of(sensor_id)
    if lookup == "physical":
        is_high = (string >= FIRST_DEEP_CORE_STRING) & (dom >= FIRST_HIGH_EFFICIENCY_DOM)
        return np.where(is_high, 1.35, 1.0)
    return np.where(((string >= 78) & (dom >= 11)) | ((string >= 79) & (dom == 0)), 1.0, 0.0)


def ice_length(column: int, sensor_id: np.ndarray, lookup: str) -> np.ndarray:
    """Metres, at the sensor; column 1 scattering, 2 absorption. IceMix looked its table up mirrored."""
    z = sensor_positions()[sensor_id, 2].astype(np.float64)
    depth = CENTRE_DEPTH_M - z if lookup == "physical" else ICEMIX_CENTRE_DEPTH_M + z
    table = ice_table()
    return np.interp(depth, table[:, 0], table[:, column])


@cache
def ice_table() -> np.ndarray:
    """[depths, 3]: depth, effective scattering length, absorption length, metres (SPICE Mie, arXiv:1301.5361)."""
    rows = re.findall(r"\[\s*([\d.]+),\s*([\d.]+),\s*([\d.]+)\s*\]", _read("ice-table.ts"))
    return np.array(rows, dtype=np.float64)


def _read(name: str) -> str:
    path = EVENT_FOLDER / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run nustream_training from a checkout of nustream")
    return path.read_text()


def _template(source: str, name: str) -> str:
    return re.search(rf"{name}\s*=\s*`([^`]*)`", source)[1]


def _steps(text: str) -> list[int]:
    """`3x1702` is three steps of 1702 cm, `1702` one."""
    times, _, step = text.rpartition("x")
    return [int(step)] * int(times or 1)
