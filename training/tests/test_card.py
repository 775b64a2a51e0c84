"""What a model card is made of: the likelihood fit that a model is compared with, and tables."""

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import run_node

from nustream_training import card, pandel
from nustream_training.data import events_of, read_kaggle
from nustream_training.directions import to_vectors
from nustream_training.events import Event
from nustream_training.features import build_tensors
from nustream_training.linefit import LineFit, linefit_manifest
from nustream_training.loss import angles


@pytest.fixture(scope="module")
def simulated(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    made = run_node(node, ["src/cli/main.ts", "simulate", "--events", "400", "--seed", "31", "--out", str(folder)])
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def without_truth(simulated: Path, tmp_path: Path) -> Path:
    """The same events, of which the first alone is listed."""
    shutil.copytree(simulated / "train", tmp_path / "train")
    meta = pq.read_table(simulated / "train_meta.parquet").slice(0, 1)
    pq.write_table(meta, tmp_path / "train_meta.parquet")
    return tmp_path


def pulses_of(place, time, present, scattering=pandel.MEAN_SCATTERING_M, absorption=pandel.MEAN_ABSORPTION_M):
    return pandel.Pulses(place, time, present, torch.full_like(time, scattering), torch.full_like(time, absorption))


def test_the_density_of_pandel_is_one_in_all():
    late = torch.linspace(-300, 40_000, 800_000, dtype=torch.float64)
    ones = torch.ones_like(late)
    for scattering, absorption, nearest in ((5.0, 18.0, 5.0), (23.9, 83.6, 5.0), (89.4, 276.0, 40.0)):
        ice = pulses_of(torch.zeros(0, 3), ones, ones, scattering, absorption)
        for distance, cos_eta in ((nearest, -0.5), (60.0, 0.7), (120.0, 1.0)):
            density = torch.exp(pandel.log_density(late, distance * ones, cos_eta * ones, ice))
            signal = density - pandel.NOISE / pandel.WINDOW_NS
            assert float(torch.trapezoid(signal, late)) == pytest.approx(1 - pandel.NOISE, abs=0.01)


def test_pandel_finds_a_track():
    rng = np.random.default_rng(4)
    travel = np.array([0.48, -0.6, 0.64])
    places = rng.uniform(-300, 300, (1, 300, 3))
    along = places @ travel
    across = np.linalg.norm(places - along[..., None] * travel, axis=2)
    near = across < 100
    direct = (along + pandel.DELAY_PER_M * across) / pandel.LIGHT_M_PER_NS
    rate = 1 / pandel.TAU_NS + pandel.ICE_M_PER_NS / pandel.MEAN_ABSORPTION_M
    late = rng.gamma(0.8395 * across / pandel.LAMBDA_M, 1 / rate)
    place, time, mask = (torch.from_numpy(part) for part in (places, 5000 + direct + late, near))
    wrong = torch.tensor([[0.6, 0.0, 0.8]], dtype=torch.float64)
    found = pandel.fit_tracks(pulses_of(place, time, mask.double()), wrong)
    assert float(angles(found.direction, -torch.from_numpy(travel)[None])) < math.radians(5)


def test_pandel_takes_the_first_pulse_of_each_sensor_that_a_neighbour_confirms():
    event = Event(
        1,
        np.array([10, 11, 10, 12, 99, 11]),
        np.array([100, 110, 120, 130, 135, 140], dtype=np.float32),
        np.ones(6, dtype=np.float32),
        np.array([False, False, False, False, True, False]),
    )
    assert pandel.first_pulses(event).time.tolist() == [100, 110, 130]


def test_pandel_is_better_than_the_line_fit_on_bright_tracks(simulated):
    columns = next(read_kaggle(simulated))
    meta = pq.read_table(simulated / "train_meta.parquet").slice(0, len(columns))
    is_track = np.array(meta["topology"].to_pylist()) == "through-going track"
    # Where an atmospheric muon made the light, a fit finds the muon.
    is_its_own = np.array(meta["muon_triggered"].to_pylist(), dtype=float) == 0
    everything = list(events_of(columns))
    is_bright = np.array([len(event.time) >= 64 for event in everything])
    tracks = np.flatnonzero(is_track & is_its_own & is_bright)
    events = [everything[i] for i in tracks]
    truth = torch.from_numpy(to_vectors(columns.azimuth, columns.zenith)[tracks])
    tensors = build_tensors(events, linefit_manifest())
    line, _ = LineFit()(torch.from_numpy(tensors["pulses"]), torch.from_numpy(tensors["mask"]))
    by_line = angles(torch.nn.functional.normalize(line, dim=1), truth)
    by_pandel = angles(torch.from_numpy(pandel.fit_events(events)), truth)
    assert float(by_pandel.median()) < 0.8 * float(by_line.median())
    assert float(by_pandel.mean()) < float(by_line.mean())


def test_a_card_compares_the_events_that_all_have(simulated, tmp_path, capsys):
    columns = next(read_kaggle(simulated))
    for name, tilt, count in (("right", 0.0, 30), ("tilted", 0.1, 20)):
        lines = [f"{columns.event_id[i]},{columns.azimuth[i]},{abs(columns.zenith[i] - tilt)}" for i in range(count)]
        (tmp_path / name).write_text("event_id,azimuth,zenith\n" + "\n".join(lines) + "\n")
    assert card.main(["--data", str(simulated), f"right={tmp_path / 'right'}", f"tilted={tmp_path / 'tilted'}"]) == 0
    table = capsys.readouterr().out
    assert "| all | 20 | 0.0°, 0.0° | 5.7°, 5.7° |" in table
    assert "cascade" in table


def test_a_card_shows_events_whose_truth_is_not_known(without_truth, tmp_path, capsys):
    columns = next(read_kaggle(without_truth, 3, needs_truth=False))
    lines = [f"{event_id},{columns.azimuth[0]},{columns.zenith[0]}" for event_id in columns.event_id]
    (tmp_path / "answers").write_text("event_id,azimuth,zenith\n" + "\n".join(lines))
    assert card.main(["--data", str(without_truth), "--each", f"mine={tmp_path / 'answers'}"]) == 0
    *_, listed, one, other, mean = capsys.readouterr().out.splitlines()
    assert listed.endswith("; 0.0° |")
    assert all("not published" in line and "°; " not in line for line in (one, other))
    assert mean == "| mean error of 1 |  |  | 0.0° |"


def test_a_card_says_what_kappa_promises_and_keeps(tmp_path, capsys):
    radius = {"predictedRad": 0.5, "observedRad": 0.55, "ratio": 1.1}
    part = {"kappaFrom": 0.5, "kappaTo": 231.4, "events": 5, "radius50": radius, "radius90": radius}
    of = {"events": 1234, "radius50": radius, "radius90": radius, "byKappa": [part]}
    models = [{"label": "linefit", "calibration": None}, {"label": "nano", "calibration": of}]
    (tmp_path / "evaluation.json").write_text(json.dumps({"models": models}))
    assert card.main(["--report", str(tmp_path / "evaluation.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "| nano | all | 1,234 | 28.6° | 31.5° | 1.10 | 28.6° | 31.5° | 1.10 |",
        "|  | 0.5 to 231 | 5 | 28.6° | 31.5° | 1.10 | 28.6° | 31.5° | 1.10 |",
    ]


def test_pandel_answers_events_whose_truth_is_not_known(without_truth, tmp_path):
    out = tmp_path / "pandel.csv"
    assert pandel.main(["--data", str(without_truth), "--events", "5", "--out", str(out)]) == 0
    rows = list(csv.DictReader(out.open(newline="")))
    assert [int(row["event_id"]) for row in rows] == list(range(5))
    assert all(0 <= float(row["azimuth"]) < 2 * math.pi and 0 <= float(row["zenith"]) <= math.pi for row in rows)
