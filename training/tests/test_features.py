"""Every column, layout and selection of docs/models.md, as this package and as nustream itself make them."""

import shutil

import numpy as np
import pytest
import torch
from conftest import ROOT, run_node
from torch import nn

from nustream_training import detector
from nustream_training.events import Event, draw_lengths, draw_parity_events
from nustream_training.features import build_tensors, select_pulses
from nustream_training.folder import answer_alone, parity, write_folder, write_json

PULSE_COLUMNS = [
    {"column": "x", "unit": "m", "scale": 500},
    {"column": "y", "unit": "m", "offset": -20, "scale": 500},
    {"column": "z", "unit": "m", "transform": "asinh"},
    {"column": "time", "unit": "ns", "offset": 10_000, "scale": 3000, "clip": [-1, 1]},
    {"column": "timeSinceFirst", "unit": "ns", "scale": 1000},
    {"column": "timeSinceFirstHlc", "unit": "ns"},
    {"column": "charge", "unit": "p.e.", "transform": "log10", "scale": 3},
    {"column": "charge", "unit": "p.e.", "transform": "log1p"},
    {"column": "auxiliary", "unit": "1", "offset": 0.5},
    {"column": "hlc", "unit": "1", "scale": -2},
    {"column": "quantumEfficiency", "unit": "1", "lookup": "physical"},
    {"column": "quantumEfficiency", "unit": "1", "lookup": "icemix"},
    {"column": "scatteringLength", "unit": "m", "lookup": "physical"},
    {"column": "scatteringLength", "unit": "m", "lookup": "icemix", "offset": 32.4, "scale": 27.175},
    {"column": "absorptionLength", "unit": "m", "lookup": "physical", "transform": "ln"},
    {"column": "absorptionLength", "unit": "m", "lookup": "icemix", "offset": 111.8, "scale": 89.325},
    {"column": "stringIndex", "unit": "1"},
    {"column": "pulseIndex", "unit": "1", "scale": 100},
    {"column": "totalCharge", "unit": "p.e.", "transform": "log10"},
]
EVENT_COLUMNS = [
    {"column": "pulseCount", "unit": "1", "transform": "log10"},
    {"column": "hlcCount", "unit": "1", "transform": "log1p"},
    {"column": "totalCharge", "unit": "p.e."},
]
SENSOR = [{"column": "sensorId", "unit": "1"}]
DOM = [{"column": "domIndex", "unit": "1", "scale": 4}]  # halves, where rounding differs between languages
INPUTS = [
    {"name": "pulses", "layout": "padded", "dtype": "float32", "features": PULSE_COLUMNS, "padding": -3},
    {"name": "channels", "layout": "padded-transposed", "dtype": "float32", "features": PULSE_COLUMNS, "padding": -3},
    {"name": "sensor", "layout": "padded-column", "dtype": "int64", "features": SENSOR, "padding": 5160},
    {"name": "flat", "layout": "flat", "dtype": "float64", "features": PULSE_COLUMNS},
    {"name": "dom", "layout": "flat-column", "dtype": "int32", "features": DOM},
    {"name": "event", "layout": "event", "dtype": "float32", "features": EVENT_COLUMNS},
    {"name": "count", "layout": "event-column", "dtype": "int64", "features": [{"column": "hlcCount", "unit": "1"}]},
    {"name": "mask", "layout": "mask", "dtype": "float32", "trueMeans": "pulse"},
    {"name": "padding", "layout": "mask", "dtype": "bool", "trueMeans": "padding"},
    {"name": "lengths", "layout": "lengths", "dtype": "int32"},
    {"name": "offsets", "layout": "offsets", "dtype": "int64"},
    {"name": "owner", "layout": "event-index", "dtype": "int32"},
]
SELECTIONS = {
    "all in time": {"max": None, "prefer": "none", "by": "time", "order": "time"},
    "as given": {"max": None, "prefer": "none", "by": "time", "order": "as-given"},
    "hlc first, earliest": {"max": 50, "prefer": "hlc", "by": "time", "order": "as-given"},
    "hlc first, spread": {"max": 50, "prefer": "hlc", "by": "spread", "order": "time"},
    "largest charge": {"max": 20, "prefer": "none", "by": "charge", "order": "charge"},
    "hlc only": {"keep": "hlc", "hlcMin": 2, "max": 30, "prefer": "none", "by": "spread", "order": "charge"},
}


class TakesAll(nn.Module):
    """Answers a vector that depends on all inputs but one, which goes unused as inputs of real networks do."""

    def forward(self, pulses, channels, sensor, flat, dom, event, count, mask, padding, lengths, offsets, owner):
        del sensor
        both = pulses + 0.5 * channels.transpose(1, 2)  # [E, L, F]
        of_pulses = (both * mask.unsqueeze(2)).sum(1)[:, :3] / mask.sum(1, keepdim=True)  # [E, 3]
        sums = torch.zeros(event.shape[0], 3).index_add(0, owner.long(), flat[:, :3].float())
        doms = torch.zeros(event.shape[0]).index_add(0, owner.long(), dom.float())
        size = (offsets[1:] - offsets[:-1]).float() + lengths.float() + (~padding).float().sum(1)  # [E]
        whole = (doms / size + count.float() / size).unsqueeze(1) * torch.tensor([0.1, 0.0, 0.2])
        return of_pulses + sums / size.unsqueeze(1) + whole + 0.1 * event + 0.01


def manifest_with(pulses: dict) -> dict:
    return {
        "formatVersion": 1,
        "name": "takes-all",
        "version": "1",
        "description": "Every column and layout",
        "licence": "Apache-2.0",
        "origin": "a test",
        "training": {"dataDigest": None},
        "pulses": pulses,
        "inputs": INPUTS,
        "paddedLength": {"multipleOf": 8, "min": 10},
        "output": {"meaning": "vector", "tensor": "direction", "axes": ["z", "x", "y"], "points": "travel"},
        "parity": "parity.json",
    }


@pytest.fixture(scope="module")
def takes_all(tmp_path_factory):
    folder = tmp_path_factory.mktemp("takes-all")
    write_folder(folder, TakesAll(), manifest_with(SELECTIONS["all in time"]))
    return folder


@pytest.mark.parametrize("selection", SELECTIONS)
def test_nustream_makes_the_same_tensors(takes_all, node, tmp_path, selection):
    manifest = manifest_with(SELECTIONS[selection])
    module, events = TakesAll(), draw_parity_events(seed=31)
    shutil.copy(takes_all / "model.onnx", tmp_path)
    write_json(tmp_path / "model.json", manifest)
    write_json(tmp_path / "parity.json", parity(events, manifest, answer_alone(module, manifest, events), 1e-4))
    verified = run_node(node, ["src/cli/main.ts", "models", "verify", str(tmp_path)])
    assert verified.returncode == 0, verified.stderr


def test_sensor_positions_are_those_of_nustream(node):
    script = "const { sensorPositions } = await import('./src/event/sensors.ts'); console.log(sensorPositions.join())"
    printed = run_node(node, ["--input-type=module", "-e", script]).stdout
    positions = np.array(printed.split(","), dtype=np.float32).reshape(-1, 3)
    assert np.array_equal(positions, detector.sensor_positions())


def test_sensor_positions_are_those_of_the_competition():
    path = ROOT.parent / "shared" / "data" / "kaggle-sample" / "sensor_geometry.csv"
    if not path.exists():
        pytest.skip(f"{path.name} of the Kaggle competition is not here")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    assert np.abs(table[:, 1:] - detector.sensor_positions()).max() <= 0.01


def test_an_event_is_cut_as_the_manifest_says():
    event = Event(
        event_id=1,
        sensor_id=np.arange(6),
        time=np.array([50, 10, 20, 30, 40, 20], dtype=np.float32),
        charge=np.array([1, 2, 3, 4, 5, 6], dtype=np.float32),
        auxiliary=np.array([False, True, True, False, True, False]),
    )
    by_time = {"max": 4, "prefer": "hlc", "by": "time", "order": "time"}
    assert select_pulses(event, by_time).tolist() == [1, 5, 3, 0]
    assert select_pulses(event, {**by_time, "order": "as-given"}).tolist() == [0, 1, 3, 5]
    assert select_pulses(event, {**by_time, "prefer": "none"}).tolist() == [1, 2, 5, 3]
    assert select_pulses(event, {**by_time, "by": "charge", "prefer": "none"}).tolist() == [2, 5, 3, 4]
    assert select_pulses(event, {**by_time, "keep": "hlc", "max": 2, "by": "spread"}).tolist() == [5, 3]
    assert select_pulses(event, {**by_time, "keep": "hlc", "hlcMin": 4, "max": None}).tolist() == [1, 2, 5, 3, 4, 0]


def test_an_unknown_column_is_named():
    manifest = manifest_with(SELECTIONS["all in time"])
    manifest["inputs"] = [
        {"name": "p", "layout": "padded", "dtype": "float32", "features": [{"column": "colour", "unit": "1"}]}
    ]
    with pytest.raises(ValueError, match=r"'colour' is not in docs/models\.md"):
        build_tensors(draw_parity_events(), manifest)


def test_drawn_events_look_like_a_stream():
    lengths = draw_lengths(np.random.default_rng(1), 20_000)
    assert 75 <= np.median(lengths) <= 85
    assert 140 <= lengths.mean() <= 185
    assert lengths.min() >= 5
    for event in draw_parity_events():
        assert len(event.sensor_id) == len(event.charge) == len(event.auxiliary) == len(event)
        assert event.sensor_id.min() >= 0
        assert event.sensor_id.max() < detector.SENSOR_COUNT
        assert event.charge.min() > 0
