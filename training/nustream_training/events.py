"""Events as plain columns, and a seeded generator of events that are realistic enough to verify a model.

The generator serves parity fixtures and speed tests only: tracks and cascades without ice or energy. Events to train
on come from `nustream simulate` or from the Kaggle data set.
"""

from dataclasses import dataclass, replace

import numpy as np

from nustream_training import detector

LIGHT_M_PER_NS = 0.299792458
CHERENKOV_TAN = 0.86  # tan of 41 degrees, ice
GROUP_M_PER_NS = 0.2195  # light in ice
READOUT_NS = (-4000.0, 6000.0)  # around the trigger, which sits at 10,000 ns
# Pulse counts that verify a model: one, two, the typical 48 to 89, and on both sides of the usual limits.
LENGTHS = (1, 2, 3, 5, 13, 34, 63, 128, 129, 193, 320)


@dataclass(frozen=True)
class Event:
    """Pulses of one event, in time order. All arrays are [pulses]."""

    event_id: int
    sensor_id: np.ndarray  # int64, 0 to 5159
    time: np.ndarray  # float32, ns
    charge: np.ndarray  # float32, photo-electrons, above 0
    auxiliary: np.ndarray  # bool, true for a pulse of lower quality

    def __len__(self) -> int:
        return len(self.time)


def draw_events(seed: int, lengths: tuple[int, ...] = LENGTHS) -> list[Event]:
    """One event per length, ids from 1; the same seed gives the same events."""
    rng = np.random.default_rng(seed)
    return [draw_event(rng, event_id + 1, pulses) for event_id, pulses in enumerate(lengths)]


def draw_parity_events(seed: int = 7, lengths: tuple[int, ...] = LENGTHS) -> list[Event]:
    """Events for a parity fixture: one per length, one whose rows are not in time order, and one on a single sensor."""
    *events, shuffled, still = draw_events(seed, (*lengths, 48, 8))
    order = np.random.default_rng(seed).permutation(len(shuffled))
    columns = (shuffled.sensor_id, shuffled.time, shuffled.charge, shuffled.auxiliary)
    shuffled = Event(shuffled.event_id, *(column[order] for column in columns))
    return [*events, shuffled, replace(still, sensor_id=np.full(len(still), still.sensor_id[0]))]


def draw_lengths(rng: np.random.Generator, count: int) -> np.ndarray:
    """Pulse counts of a stream: log-normal with median 80 and mean 164, at least 5."""
    return np.maximum(5, np.round(80 * np.exp(1.196 * rng.standard_normal(count)))).astype(np.int64)


def draw_event(rng: np.random.Generator, event_id: int, pulses: int) -> Event:
    """Light of a track or a cascade on the sensors near it, and noise on any sensor."""
    signal = int(np.ceil(pulses * rng.uniform(0.3, 0.8)))
    is_track = rng.random() < 0.5
    sensors, times = _light(rng, signal, is_track)
    noise = pulses - signal
    sensors = np.concatenate([sensors, rng.integers(0, detector.SENSOR_COUNT, noise)])
    times = np.concatenate([times, rng.uniform(*READOUT_NS, noise)])
    auxiliary = np.concatenate([rng.random(signal) < 0.25, rng.random(noise) < 0.97])
    times = np.round(np.clip(times + 10_000, 0, 70_000))
    # Charges are multiples of 0.05 p.e., as in the detector's format.
    charges = (
        np.floor(np.maximum(0.2, rng.normal(1.0, 0.4, pulses) * rng.gamma(3, 1 / 3, pulses)) / 0.05) * 0.05 + 0.025
    )
    order = np.argsort(times, kind="stable")
    return Event(
        event_id=event_id,
        sensor_id=sensors[order],
        time=times[order].astype(np.float32),
        charge=charges[order].astype(np.float32),
        auxiliary=auxiliary[order],
    )


def _light(rng: np.random.Generator, pulses: int, is_track: bool) -> tuple[np.ndarray, np.ndarray]:
    """Sensors that see the light, and times in ns after the particle is at the middle of its path."""
    positions = detector.sensor_positions().astype(np.float64)
    vertex = rng.uniform([-400, -400, -400], [400, 400, 400])
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    offset = positions - vertex  # [5160, 3]
    along = offset @ direction if is_track else np.zeros(len(offset))
    distance = np.linalg.norm(offset - along[:, None] * direction, axis=1)  # m, from the line or the point
    weight = np.exp(-distance / 30) / (distance + 5)
    sensors = rng.choice(len(positions), size=pulses, p=weight / weight.sum())
    delay = rng.gamma(distance[sensors] / 50 + 0.1, 60)  # ns, scattering in the ice
    straight = (along + distance * CHERENKOV_TAN) / LIGHT_M_PER_NS if is_track else distance / GROUP_M_PER_NS
    return sensors, straight[sensors] + delay
