"""The line fit in torch and the one in src/inference are the same."""

import json
import re

import numpy as np
import pytest
from conftest import ROOT, run_node

from nustream_training import linefit
from nustream_training.directions import Directions, angular_distance, read_directions
from nustream_training.events import Event, draw_events
from nustream_training.features import build_tensors
from nustream_training.onnx_graph import run_module

# Reads events as columns on stdin, prints the built-in line fit's answers.
BUILT_IN = """
import { openLocalModel } from './src/inference/network/local.ts'
import { text } from 'node:stream/consumers'
const { offsets, sensorIds, times, charges, auxiliary } = JSON.parse(await text(process.stdin))
await using model = await openLocalModel('linefit', { threads: 1 })
const { azimuth, zenith, degenerate } = await model.infer({
  eventIds: BigInt64Array.from(offsets.slice(1), (_, i) => BigInt(i)),
  offsets: Int32Array.from(offsets), sensorIds: Uint16Array.from(sensorIds), times: Float32Array.from(times),
  charges: Float32Array.from(charges), auxiliary: Uint8Array.from(auxiliary),
})
console.log(JSON.stringify({ azimuth: [...azimuth], zenith: [...zenith], degenerate: [...degenerate] }))
"""


def fit(events: list[Event]) -> Directions:
    manifest = linefit.linefit_manifest()
    outputs = run_module(linefit.LineFit(), manifest, build_tensors(events, manifest))
    return read_directions(outputs, manifest["output"])


def ask_built_in(node: str, events: list[Event]) -> Directions:
    columns = {
        "offsets": [0, *np.cumsum([len(event) for event in events]).tolist()],
        "sensorIds": np.concatenate([event.sensor_id for event in events]).tolist(),
        "times": np.concatenate([event.time for event in events]).astype(float).tolist(),
        "charges": np.concatenate([event.charge for event in events]).astype(float).tolist(),
        "auxiliary": np.concatenate([event.auxiliary for event in events]).astype(int).tolist(),
    }
    done = run_node(node, ["--input-type=module-typescript", "-e", BUILT_IN], json.dumps(columns))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return Directions(
        np.array(answer["azimuth"]), np.array(answer["zenith"]), None, np.array(answer["degenerate"]) != 0
    )


def event_of(sensors: list[int], times: list[float], auxiliary: list[bool] | None = None) -> Event:
    count = len(sensors)
    flags = np.array(auxiliary or [False] * count)
    return Event(1, np.array(sensors), np.array(times, dtype=np.float32), np.ones(count, dtype=np.float32), flags)


ODD_EVENTS = {
    "one pulse": event_of([100], [10_000]),
    "one sensor": event_of([100] * 4, [9_900, 10_000, 10_100, 10_200]),
    "one moment": event_of([100, 160, 2000, 4000], [10_000] * 4),
    "half a nanosecond": event_of([100, 101], [10_000, 10_000.5]),
    "two pulses upward": event_of([130, 125], [10_000, 10_100]),
    "all but one cleaned away": event_of([100, 101, 102], [10_000, 11_000, 12_000]),
    "auxiliary only": event_of([10, 700, 1300, 2500], [9_000, 9_500, 10_400, 10_900], [True] * 4),
    "two good ones among auxiliary": event_of(
        [10, 700, 1300, 2500], [9_000, 9_500, 10_400, 10_900], [True, False, False, True]
    ),
    "far outlier": event_of([1000, 1001, 1002, 1003, 5], [10_000, 10_050, 10_110, 10_170, 10_200]),
    "late in the clock": event_of([100, 700, 1300], [1_000_000, 1_000_400, 1_000_900]),
    "equal times, rows against the order": event_of([300, 2000, 305, 900], [10_400, 10_000, 10_000, 9_800]),
}


@pytest.fixture(scope="module")
def many() -> list[Event]:
    lengths = np.random.default_rng(5).integers(1, 120, 250)
    return [*draw_events(seed=21, lengths=(*lengths.tolist(), 400, 900)), *ODD_EVENTS.values()]


def test_agrees_with_the_built_in_one(node, many):
    got, built_in = fit(many), ask_built_in(node, many)
    assert np.array_equal(got.degenerate, built_in.degenerate)
    assert angular_distance(got, built_in).max() < 1e-6
    assert 3 <= np.count_nonzero(got.degenerate) < len(many) / 4


@pytest.mark.parametrize("name", ODD_EVENTS)
def test_odd_events_have_a_direction(name):
    answer = fit([ODD_EVENTS[name]])
    assert np.isfinite(answer.vectors()).all()
    is_without_velocity = name in {"one pulse", "one sensor", "one moment", "half a nanosecond"}
    assert answer.degenerate[0] == (is_without_velocity or name == "all but one cleaned away")


def test_a_particle_that_moves_up_came_from_below():
    answer = fit([ODD_EVENTS["two pulses upward"]])
    assert answer.zenith[0] > 3.1


def test_constants_are_those_of_the_built_in_one():
    sources = [(ROOT / "src" / "inference" / "linefit" / "linefit.ts").read_text()]
    constants = {
        name: float(value.replace("_", ""))
        for source in sources
        for name, value in re.findall(r"^const ([A-Z0-9_]+) = ([\d._e-]+)$", source, re.MULTILINE)
    }
    pulses = linefit.linefit_manifest()["pulses"]
    assert constants == {
        "CLEANING_RADIUS_M": linefit.CLEANING_RADIUS_M,
        "CLEANING_DELAY_NS": linefit.CLEANING_DELAY_NS,
        "HUBER_MU_M": linefit.HUBER_MU_M,
        "HUBER_ITERATIONS": linefit.HUBER_ITERATIONS,
        "DEBIAS_RADIUS_M": linefit.DEBIAS_RADIUS_M,
        "HLC_MIN": pulses["hlcMin"],
        "PULSES_MAX": pulses["max"],
        "TIME_VARIANCE_MIN": linefit.TIME_VARIANCE_MIN,
        "SPEED_MIN": linefit.SPEED_MIN,
        "SQUARINGS": linefit.AXIS_SQUARINGS,
        "VARIANCE_MIN": linefit.AXIS_VARIANCE_MIN,
    }
