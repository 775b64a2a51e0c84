"""Writes a model folder: model.onnx, model.json and parity.json, as docs/models.md specifies."""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nustream_training.directions import Directions, angular_distance, read_directions
from nustream_training.events import Event, draw_parity_events
from nustream_training.features import Manifest, build_tensors
from nustream_training.onnx_graph import (
    ExportError,
    export_onnx,
    open_session,
    run_module,
    run_session,
    save_onnx,
)

TENSOR_TOLERANCE = 1e-5


def write_folder(
    folder: Path | str,
    module: nn.Module,
    manifest: Manifest,
    events: list[Event] | None = None,
    tolerance_rad: float = 1e-4,
) -> None:
    """Writes a model folder from a torch module, and verifies that ONNX Runtime gives the same results as torch.

    `manifest` is the content of model.json. `module` takes the inputs by position, in the manifest's order, and returns
    the outputs: the tensor (or tensors) of the direction, then kappa and degenerate if the manifest has them.
    `events` go into the parity fixture; by default, random events of 1 to several hundred pulses.
    Raises ExportError if the exported network does not give the results of the module.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    events = events or draw_parity_events()
    module = module.eval()
    manifest = with_facts(manifest, module)
    save_onnx(export_onnx(module, manifest, build_tensors(events, manifest)), str(folder / "model.onnx"))
    alone = answer_alone(module, manifest, events)
    prove(folder, module, manifest, events, alone, tolerance_rad)
    write_json(folder / "model.json", manifest)
    write_json(folder / "parity.json", parity(events, manifest, alone, tolerance_rad))


def with_facts(manifest: Manifest, module: nn.Module) -> Manifest:
    facts = {
        "framework": f"pytorch {torch.__version__.partition('+')[0]}",
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
    }
    return {**manifest, "training": {**facts, **manifest["training"]}}


def prove(
    folder: Path, module: nn.Module, manifest: Manifest, events: list[Event], alone: Directions, tolerance_rad: float
) -> None:
    """Runs the written network on other shapes than the one it was exported with."""
    session = open_session(str(folder / "model.onnx"))
    order = sorted(range(len(events)), key=lambda i: len(events[i]))
    for picked in (order, order[:1], order[:2], order[-1:], order[-3:], [order[0], order[-1]], order[::2]):
        run = [events[i] for i in picked]
        shape = f"{len(run)} events of {min(map(len, run))} to {max(map(len, run))} pulses"
        try:
            outputs = run_session(session, build_tensors(run, manifest))
        except Exception as error:
            raise ExportError(f"the exported network fails on {shape}: {error}") from error
        got = read_directions(outputs, manifest["output"])
        _compare(got, _pick(alone, picked), tolerance_rad, f"ONNX Runtime on {shape}, torch on each alone")
        together = _ask_module(module, manifest, run)
        _compare(together, _pick(alone, picked), tolerance_rad, f"torch on {shape}, torch on each alone")


def parity(events: list[Event], manifest: Manifest, expected: Directions, tolerance_rad: float) -> dict:
    return {
        "formatVersion": 1,
        "madeBy": f"pytorch {torch.__version__.partition('+')[0]}, training/nustream_training/folder.py",
        "toleranceRad": tolerance_rad,
        "events": [
            {
                "eventId": event.event_id,
                "sensorId": event.sensor_id.tolist(),
                "time": _plain(event.time),
                "charge": _plain(event.charge),
                "auxiliary": event.auxiliary.astype(int).tolist(),
                "expected": _expected(expected, i),
            }
            for i, event in enumerate(events)
        ],
        "tensors": {
            "tolerance": TENSOR_TOLERANCE,
            "values": {
                name: {"shape": list(tensor.shape), "data": _plain(tensor)}
                for name, tensor in build_tensors(events, manifest).items()
            },
        },
    }


def answer_alone(module: nn.Module, manifest: Manifest, events: list[Event]) -> Directions:
    """Results of torch for each event alone, and so without padding."""
    return _join([_ask_module(module, manifest, [event]) for event in events])


def _ask_module(module: nn.Module, manifest: Manifest, events: list[Event]) -> Directions:
    return read_directions(run_module(module, manifest, build_tensors(events, manifest)), manifest["output"])


def _expected(directions: Directions, i: int) -> dict:
    azimuth, zenith = float(directions.azimuth[i]), float(directions.zenith[i])
    answer = {"azimuth": round(azimuth, 9), "zenith": min(round(zenith, 9), math.pi)}
    if directions.kappa is not None:
        answer["kappa"] = float(f"{directions.kappa[i]:.7g}")
    if directions.degenerate is not None:
        answer["degenerate"] = bool(directions.degenerate[i])
    return answer


def _compare(got: Directions, expected: Directions, tolerance_rad: float, what: str) -> None:
    apart = angular_distance(got, expected)
    worst = int(np.argmax(apart))
    if not apart[worst] <= tolerance_rad:
        raise ExportError(f"{what} are {apart[worst]:.2g} rad apart at event {worst}, more than {tolerance_rad:.2g}")
    if expected.degenerate is not None and np.any(got.degenerate != expected.degenerate):
        raise ExportError(f"{what} do not agree on which events are degenerate")


def _join(parts: list[Directions]) -> Directions:
    columns = [[getattr(part, name) for part in parts] for name in Directions.__dataclass_fields__]
    return Directions(*(None if column[0] is None else np.concatenate(column) for column in columns))


def _pick(directions: Directions, rows: list[int]) -> Directions:
    columns = [getattr(directions, name) for name in Directions.__dataclass_fields__]
    return Directions(*(None if column is None else column[rows] for column in columns))


def _plain(tensor: np.ndarray) -> list:
    """Numbers as short as their precision allows; integers without a decimal point."""
    if tensor.dtype == bool:
        return tensor.reshape(-1).astype(int).tolist()
    values = (float(str(value)) for value in tensor.reshape(-1))
    return [int(value) if value.is_integer() else value for value in values]


def write_json(path: Path, value: dict) -> None:
    """Indented JSON with lists of numbers on one line."""
    path.write_text(_json(value, "") + "\n")


def _json(value: object, indent: str) -> str:
    if isinstance(value, dict) and len(json.dumps(value)) > 100:
        inner = indent + "  "
        items = [f"{inner}{json.dumps(key)}: {_json(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inner = indent + "  "
        return "[\n" + ",\n".join(inner + _json(item, inner) for item in value) + f"\n{indent}]"
    if isinstance(value, list) and len(value) > 20:
        return json.dumps(value, separators=(",", ":"))
    return json.dumps(value)
