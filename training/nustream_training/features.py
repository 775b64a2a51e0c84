"""Builds the input tensors of a manifest from events: the numpy version of src/inference.

Specified in docs/models.md; the parity fixture's `tensors` verify that both agree. A manifest is the dictionary of
model.json.
"""

import numpy as np

from nustream_training import detector
from nustream_training.events import Event

Manifest = dict
Tensors = dict[str, np.ndarray]


def select_pulses(event: Event, pulses: Manifest) -> np.ndarray:
    """Selected rows of the event, in the order of the manifest. [L]"""
    rows = np.arange(len(event))
    if pulses.get("keep", "all") == "hlc":
        hlc = rows[~event.auxiliary]
        rows = hlc if len(hlc) >= pulses.get("hlcMin", 1) else rows
    is_cut = pulses["max"] is not None and len(rows) > pulses["max"]
    if is_cut:
        rows = _cut(_by_time(rows, event), event, pulses)
    if pulses["order"] == "time":
        return _by_time(rows, event)
    return _by_charge(rows, event) if pulses["order"] == "charge" else np.sort(rows)


def build_tensors(events: list[Event], manifest: Manifest) -> Tensors:
    """Input tensors of one run of all `events`, by name, in the order of the manifest."""
    chosen = [select_pulses(event, manifest["pulses"]) for event in events]
    return {spec["name"]: _tensor(spec, events, chosen, manifest).astype(spec["dtype"]) for spec in manifest["inputs"]}


def padded_length(lengths: list[int], manifest: Manifest) -> int:
    rule = manifest.get("paddedLength", {})
    if "fixed" in rule:
        return rule["fixed"]
    multiple = rule.get("multipleOf", 1)
    return -(-max(*lengths, rule.get("min", 1)) // multiple) * multiple


def _tensor(  # noqa: C901, one case per layout
    spec: Manifest, events: list[Event], chosen: list[np.ndarray], manifest: Manifest
) -> np.ndarray:
    lengths = [len(rows) for rows in chosen]
    match spec["layout"]:
        case "padded":
            return _pad(_pulse_values(spec, events, chosen), lengths, padded_length(lengths, manifest), spec)
        case "padded-transposed":
            padded = _pad(_pulse_values(spec, events, chosen), lengths, padded_length(lengths, manifest), spec)
            return np.ascontiguousarray(padded.transpose(0, 2, 1))
        case "padded-column":
            return _pad(_pulse_values(spec, events, chosen), lengths, padded_length(lengths, manifest), spec)[..., 0]
        case "flat":
            return _store(_pulse_values(spec, events, chosen), spec["dtype"])
        case "flat-column":
            return _store(_pulse_values(spec, events, chosen), spec["dtype"])[:, 0]
        case "event":
            return _store(_event_values(spec, events), spec["dtype"])
        case "event-column":
            return _store(_event_values(spec, events), spec["dtype"])[:, 0]
        case "mask":
            is_pulse = np.arange(padded_length(lengths, manifest)) < np.array(lengths)[:, None]  # [E, L]
            return is_pulse if spec["trueMeans"] == "pulse" else ~is_pulse
        case "lengths":
            return np.array(lengths)
        case "offsets":
            return np.concatenate([[0], np.cumsum(lengths)])
        case "event-index":
            return np.repeat(np.arange(len(events)), lengths)
        case other:
            raise ValueError(f"layout {other!r} is not one of docs/models.md")


def _pulse_values(spec: Manifest, events: list[Event], chosen: list[np.ndarray]) -> np.ndarray:
    """[T, F] float64, event after event."""
    per_event = [
        np.stack([_normalise(_column(feature, event, rows), feature) for feature in spec["features"]], axis=1)
        for event, rows in zip(events, chosen, strict=True)
    ]
    return np.concatenate(per_event)


def _event_values(spec: Manifest, events: list[Event]) -> np.ndarray:
    """[E, F] float64."""
    one = np.zeros(1, dtype=np.int64)  # a value of the event does not depend on the pulse
    rows = [[_normalise(_column(feature, event, one), feature)[0] for feature in spec["features"]] for event in events]
    return np.array(rows)


def _pad(values: np.ndarray, lengths: list[int], length: int, spec: Manifest) -> np.ndarray:
    """[T, F] to [E, L, F]."""
    padded = np.full((len(lengths), length, values.shape[1]), float(spec.get("padding", 0)))
    padded[np.arange(length) < np.array(lengths)[:, None]] = values
    return _store(padded, spec["dtype"])


def _store(values: np.ndarray, dtype: str) -> np.ndarray:
    # Halves round up, like Math.round of JavaScript.
    return np.floor(values + 0.5) if dtype.startswith("int") else values


def _normalise(values: np.ndarray, feature: Manifest) -> np.ndarray:
    transforms = {"log10": np.log10, "ln": np.log, "log1p": np.log1p, "asinh": np.arcsinh}
    if "transform" in feature:
        values = transforms[feature["transform"]](values)
    values = (values - feature.get("offset", 0)) / feature.get("scale", 1)
    return np.clip(values, *feature["clip"]) if "clip" in feature else values


def _column(feature: Manifest, event: Event, rows: np.ndarray) -> np.ndarray:
    """Raw values of a column of docs/models.md for the chosen pulses. [L] float64"""
    return np.asarray(_raw_column(feature, event, rows), dtype=np.float64)


def _raw_column(feature: Manifest, event: Event, rows: np.ndarray) -> np.ndarray:  # noqa: C901, the closed menu
    sensors, lookup = event.sensor_id[rows], feature.get("lookup", "physical")
    time = event.time.astype(np.float64)
    match feature["column"]:
        case "x" | "y" | "z" as axis:
            return detector.sensor_positions()[sensors, "xyz".index(axis)]
        case "time":
            return time[rows]
        case "timeSinceFirst":
            return time[rows] - time.min()
        case "timeSinceFirstHlc":
            first = time[~event.auxiliary] if not event.auxiliary.all() else time
            return time[rows] - first.min()
        case "charge":
            return event.charge[rows]
        case "auxiliary":
            return event.auxiliary[rows]
        case "hlc":
            return ~event.auxiliary[rows]
        case "quantumEfficiency":
            return detector.quantum_efficiency(sensors, lookup)
        case "scatteringLength":
            return detector.ice_length(1, sensors, lookup)
        case "absorptionLength":
            return detector.ice_length(2, sensors, lookup)
        case "sensorId":
            return sensors
        case "stringIndex":
            return detector.string_of(sensors)
        case "domIndex":
            return detector.dom_of(sensors)
        case "pulseIndex":
            return np.arange(len(rows))
        case "pulseCount":
            return np.full(len(rows), len(event))
        case "hlcCount":
            return np.full(len(rows), np.count_nonzero(~event.auxiliary))
        case "totalCharge":
            return np.full(len(rows), event.charge.astype(np.float64).sum())
        case other:
            raise ValueError(f"column {other!r} is not in docs/models.md")


def _cut(rows: np.ndarray, event: Event, pulses: Manifest) -> np.ndarray:
    """The `max` pulses that the manifest prefers, of `rows` in time order."""
    if pulses["prefer"] == "none":
        return _cut_class(rows, pulses["max"], event, pulses["by"])
    auxiliary = event.auxiliary[rows]
    hlc = _cut_class(rows[~auxiliary], pulses["max"], event, pulses["by"])
    others = _cut_class(rows[auxiliary], pulses["max"] - len(hlc), event, pulses["by"])
    return np.concatenate([hlc, others])


def _cut_class(rows: np.ndarray, count: int, event: Event, by: str) -> np.ndarray:
    if count >= len(rows):
        return rows
    if by == "charge":
        return _by_charge(rows, event)[:count]
    return rows[:count] if by == "time" else rows[np.arange(count) * len(rows) // count]


def _by_time(rows: np.ndarray, event: Event) -> np.ndarray:
    return rows[np.lexsort((rows, event.time[rows]))]


def _by_charge(rows: np.ndarray, event: Event) -> np.ndarray:
    return rows[np.lexsort((rows, -event.charge[rows]))]
