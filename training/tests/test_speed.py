"""The measuring of bare ONNX Runtime: the events of a stream, cut to what the network sees, and what is printed."""

import re
import sys

import numpy as np
from conftest import COMMITTED

from nustream_training import speed


def test_runs_hold_the_events_of_the_window_within_the_budget():
    manifest = speed.read_manifest(COMMITTED["icemix-axes"])
    lengths = speed.window_lengths(manifest, 200, seed=3)
    assert lengths.max() == manifest["pulses"]["max"]
    assert np.all(np.diff(lengths) <= 0)
    runs = speed.draw_runs(manifest, 1024, 200, np.random.default_rng(3))
    masks = [next(tensor for tensor in run.values() if tensor.dtype == bool) for run in runs]
    assert np.concatenate([mask.sum(1) for mask in masks]).tolist() == lengths.tolist()
    assert max(mask.size for mask in masks) <= 1024


def test_says_events_per_second_and_the_mean_length(monkeypatch, capsys):
    folder = str(COMMITTED["icemix-axes"])
    monkeypatch.setattr(sys, "argv", ["speed", folder, "--cpu", "--workers", "1", "--events", "64", "--rounds", "1"])
    speed.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    said = re.fullmatch(rf"{re.escape(folder)} +([\d,.]+) events/s of (\d+) pulses", lines[0])
    assert said
    assert float(said[1].replace(",", "")) > 0
    assert int(said[2]) == round(speed.window_lengths(speed.read_manifest(COMMITTED["icemix-axes"]), 64, 0).mean())
    assert re.fullmatch(r"matrix product +[\d,.]+ GFLOP/s", lines[1])
