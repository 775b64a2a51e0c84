"""Training: losses against closed forms, events as the network gets them, and a run that survives being cut off."""

import argparse
import io
import json
import math
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, run_node

from nustream_training import export
from nustream_training.calibrate import coverage, fit_map, radius
from nustream_training.data import PipeError, Pool, events_of, gather, load_pool, passes, read_kaggle, read_pipe, select
from nustream_training.features import build_tensors
from nustream_training.loss import angles, vmf_loss
from nustream_training.nano import FEATURES, Nano, NanoConfig, nano_manifest
from nustream_training.network import network
from nustream_training.tracking import Tracking
from nustream_training.train import Training, main, parse, rotate

STEPS = ["--batch", "64", "--warmup", "128", "--decay", "256"]
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
TINY = ["--dim", "16", "--layers", "1", "--heads", "2", *STEPS]
TINY_ICEMIX = ["--size", "dim=16,base=8,depth=1,head=8,depth_rel=1", "--pulses-max", "24", *STEPS]


@pytest.fixture(scope="session")
def simulated(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 simulated events in the Kaggle layout, in three files."""
    folder = tmp_path_factory.mktemp("simulated")
    command = ["simulate", "--events", "400", "--file-events", "150", "--seed", "11", "--out", str(folder)]
    made = run_node(node, ["src/cli/main.ts", *command])
    assert made.returncode == 0, made.stderr
    return folder


def test_vmf_loss_is_the_density():
    truth = torch.tensor([[0.0, 0.6, 0.8]], dtype=torch.float64)
    for kappa, towards in ((0.3, truth), (3.0, truth), (3.0, -truth), (3.0, torch.tensor([[1.0, 0, 0]]).double())):
        cosine = float((towards * truth).sum())
        expected = -(math.log(kappa / (4 * math.pi * math.sinh(kappa))) + kappa * cosine)
        assert float(vmf_loss(kappa * towards, truth)) == pytest.approx(expected, rel=1e-9)


def test_vmf_loss_has_its_limits():
    truth = torch.tensor([[0.0, 0.0, 1.0]])
    assert float(vmf_loss(1e-3 * truth, truth)) == pytest.approx(math.log(4 * math.pi), rel=1e-3)
    # -log(kappa / 2 pi) for a large kappa straight on, where sinh would overflow.
    assert float(vmf_loss(1e4 * truth, truth)) == pytest.approx(-math.log(1e4 / (2 * math.pi)), rel=1e-4)
    nothing = torch.zeros(1, 3, requires_grad=True)
    vmf_loss(nothing, truth).backward()
    assert torch.isfinite(nothing.grad).all()


def test_angles_are_exact_at_both_ends():
    truth = torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1]])
    vector = torch.tensor([[0.0, 0, 5], [0, 0, -2], [3e-3, 0, 3]], requires_grad=True)
    found = angles(vector, truth)
    assert found.detach().numpy() == pytest.approx([0, math.pi, 1e-3], abs=1e-5)
    found.sum().backward()
    assert torch.isfinite(vector.grad).all()


def test_rotation_turns_pulses_and_truth_alike():
    rng = np.random.default_rng(0)
    pulses = torch.from_numpy(rng.standard_normal((5, 7, len(FEATURES))))
    truth = torch.from_numpy(rng.standard_normal((5, 3)))
    before, was = pulses.clone(), truth.clone()
    turn = torch.tensor([0.0, math.pi / 2, 1.0, 0.0, 2.0], dtype=torch.float64)
    rotate(pulses, truth, turn, torch.tensor([False, False, False, True, True]))

    def cosines(places, directions):
        return torch.einsum("elc,ec->el", places[:, :, :3], directions)

    torch.testing.assert_close(cosines(pulses, truth), cosines(before, was))
    torch.testing.assert_close(pulses[:, :, 2:], before[:, :, 2:])  # heights and all else stay
    torch.testing.assert_close(truth[0], was[0])
    torch.testing.assert_close(truth[1], torch.stack([-was[1, 1], was[1, 0], was[1, 2]]))  # x to y
    torch.testing.assert_close(truth[3], was[3] * torch.tensor([1.0, -1.0, 1.0]))
    # A mirror changes the handedness, a turn does not.
    volumes = [torch.linalg.det(part[:, :3, :3]) for part in (before, pulses)]
    assert (volumes[0] * volumes[1] > 0).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("pulses_max", [8, 64])
def test_a_pool_gives_the_tensors_of_the_manifest(simulated, pulses_max):
    columns = next(read_kaggle(simulated))
    columns.time = np.round(columns.time / 40) * 40  # so that many times are the same
    columns.auxiliary[columns.offsets[3] : columns.offsets[4]] = True
    manifest = nano_manifest(NanoConfig(pulses_max=pulses_max))
    pulses, mask, truth = select(columns, manifest["pulses"]).batch(np.arange(len(columns)), FEATURES)
    expected = build_tensors(events_of(columns), manifest)
    np.testing.assert_array_equal(mask, expected["mask"])
    np.testing.assert_allclose(pulses, expected["pulses"], atol=1e-6)
    assert np.cos(columns.zenith) == pytest.approx(truth[:, 2], abs=1e-6)


def same(a: Pool, b: Pool) -> None:
    for name in ("offsets", "sensor_id", "time", "charge", "auxiliary", "pulse_count"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_allclose(a.truth, b.truth, atol=1e-6)


def test_a_pipe_gives_the_events_of_the_folder(simulated, node):
    command = [node, "--disable-warning=ExperimentalWarning", "src/cli/main.ts", "simulate"]
    made = subprocess.run(
        [*command, "--events", "400", "--seed", "11", "--out", "-"], cwd=ROOT, capture_output=True, timeout=120
    )
    assert made.returncode == 0, made.stderr
    pulses = nano_manifest(NanoConfig())["pulses"]
    (pool,) = gather(read_pipe(io.BytesIO(made.stdout)), pulses, 10_000)
    same(pool, load_pool([simulated], pulses))
    without_end = made.stdout[: -len(END_OF_STREAM)]
    for cut in (made.stdout[: len(made.stdout) * 2 // 3], without_end, made.stdout[:-3]):
        with pytest.raises(PipeError, match=r"the pipe broke off after \d+ events"):
            list(read_pipe(io.BytesIO(cut)))
    with pytest.raises(PipeError, match=r"the pipe has after 400 events 'done', which is no Arrow stream"):
        list(read_pipe(io.BytesIO(made.stdout + b"done")))


BANNER = b"\n> nustream@0.1.0 start\n> node src/cli/main.ts simulate --out -\n\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"", "no events came through the pipe: did the command before it fail?"),
        (BANNER, "the pipe begins with .*nustream@0.1.0 .*, which is no Arrow stream; npm prints this line: run `npx"),
        (b"simulated 400 events", "the pipe begins with 'simulated 400 events', which is no Arrow stream"),
        (b"\xff\xff", "the pipe begins with '.*', which is no Arrow stream"),
    ],
)
def test_a_pipe_without_events_ends_the_training_with_an_error(simulated, tmp_path, monkeypatch, given, message):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    run = tmp_path / "run"
    options = ["--run", str(run), "--data", "-", "--validation", str(simulated), "--validation-events", "50"]
    with pytest.raises(SystemExit, match=message) as ended:
        main([*options, *TINY])
    assert ended.value.code not in (0, None)
    assert not (run / "checkpoint.pt").exists()


def test_a_banner_before_the_events_is_refused(simulated, tmp_path, node, monkeypatch):
    command = [node, "--disable-warning=ExperimentalWarning", "src/cli/main.ts", "simulate", "--out", "-"]
    made = subprocess.run([*command, "--events", "20"], cwd=ROOT, capture_output=True, timeout=120, check=True)
    with pytest.raises(PipeError, match="npm prints this line"):
        list(read_pipe(io.BytesIO(BANNER + made.stdout)))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(made.stdout)))
    options = ["--run", str(tmp_path / "run"), "--data", "-", "--validation", str(simulated)]
    with pytest.raises(SystemExit, match="fewer events came through the pipe than one batch holds"):
        main([*options, *TINY, "--validation-events", "50", "--batch", "128"])


def test_an_event_may_lie_on_two_reads(simulated, monkeypatch):
    pulses = nano_manifest(NanoConfig())["pulses"]
    whole = load_pool([simulated], pulses)
    monkeypatch.setattr("nustream_training.data.ROWS_AT_ONCE", 1000)
    same(load_pool([simulated], pulses), whole)
    assert len(load_pool([simulated], pulses, events_max=170)) == 170


def test_events_without_truth_are_refused(simulated):
    columns = next(read_kaggle(simulated))
    columns.zenith[5] = np.nan
    with pytest.raises(ValueError, match="event 5 has no true direction"):
        select(columns, nano_manifest(NanoConfig())["pulses"])


def arguments(run: Path, data: Path, size: str) -> list[str]:
    common = ["--run", str(run), "--data", str(data), "--validation", str(data), "--validation-events", "50"]
    return [*common, *(TINY if size == "nano" else TINY_ICEMIX), "--presentations", "768"]


def train(run: Path, data: Path, *more: str, size: str = "nano", stop_at: int | None = None) -> Training:
    torch.set_num_threads(1)  # as main has it
    training = Training(parse([*arguments(run, data, size), *more]))
    if (run / "checkpoint.pt").exists():
        training.resume()
    take = training.take_step

    def take_and_stop(*arguments):
        training.is_stopped = training.step + 1 == stop_at
        return take(*arguments)

    training.take_step = take_and_stop
    training.run()
    return training


def test_a_run_that_was_cut_off_ends_with_the_same_weights(simulated, tmp_path):
    """Over the end of a pass, the rise and the fall of the learning rate, and with another number of threads."""
    whole = train(tmp_path / "whole", simulated, "--threads", "1")
    assert (whole.step, whole.epoch) == (14, 1)
    for stop_at in (3, 9):
        cut = train(tmp_path / "cut", simulated, "--threads", "2", stop_at=stop_at)
        assert cut.step == stop_at
    resumed = train(tmp_path / "cut", simulated, "--threads", "2")
    assert resumed.step == whole.step
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.mean, resumed.mean, strict=True):
        assert torch.equal(a, b)
    log = (tmp_path / "cut" / "log.csv").read_text().splitlines()
    assert log[0].startswith("step,presentations")
    assert log[-1].startswith("14,800")


@pytest.mark.parametrize("size", ["nano", "icemix"])
def test_a_run_that_was_killed_ends_with_the_same_weights(simulated, tmp_path, size):
    """kill -9 after some checkpoint; the rest of the log is written anew, each step once."""
    log = ["--log-every", "1", "--threads", "1"]
    whole = train(tmp_path / "whole", simulated, *log, size=size)
    command = [sys.executable, "-m", "nustream_training.train", *arguments(tmp_path / "cut", simulated, size)]
    process = subprocess.Popen([*command, *log, "--checkpoint-s", "0.01"], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("5,"):
            break
    process.kill()
    process.communicate()
    resumed = train(tmp_path / "cut", simulated, *log, size=size)
    assert resumed.step == whole.step
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)
    lines = (tmp_path / "cut" / "log.csv").read_text().splitlines()[1:]
    assert [int(line.split(",")[0]) for line in lines] == list(range(1, whole.step + 1))


def test_data_larger_than_memory_is_read_some_files_at_a_time(simulated):
    pulses = network("nano").manifest()["pulses"]
    whole = next(passes([simulated], pulses, at_once=3, seed=1))
    assert len(whole) == 400
    shown = list(islice(passes([simulated], pulses, at_once=2, seed=1), 6))
    sizes = [len(pool) for pool in shown]
    assert [sum(sizes[i : i + 2]) for i in (0, 2, 4)] == [400] * 3
    rows = {row.tobytes() for row in whole.truth}
    for i in (0, 2, 4):
        assert {row.tobytes() for pool in shown[i : i + 2] for row in pool.truth} == rows
    # Goes on where it stopped, with the same events.
    for wanted, pool in zip(shown[3:], passes([simulated], pulses, at_once=2, seed=1, start=3), strict=False):
        same(pool, wanted)
    assert any(a.truth.tobytes() != b.truth.tobytes() for a, b in zip(shown[:2], shown[2:4], strict=True))


def test_sizes_bring_what_they_learn_with():
    def asked(*more: str) -> argparse.Namespace:
        return parse(["--run", "r", "--data", "d", "--validation", "v", *more])

    t, b = asked("--size", "t"), asked("--size", "b", "--lr", "3e-5")
    assert (t.optimizer, t.lr, t.network.pulses_max, t.network.config.dim) == ("adamw", 5e-4, 192, 192)
    assert (b.optimizer, b.lr, b.network.config.dim) == ("adamw", 3e-5, 768)
    assert asked().optimizer == "muon"
    assert asked("--dim", "32").network.config.dim == 32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--size", "xl"], "no size 'xl': nano, t, s, b"),
        (["--size", "t", "--dim", "32"], "dim are nano's"),
        (["--size", "dim=64"], "lacks base, depth, head"),
        (["--batch", "100"], "--batch 100 is not a multiple of 64"),
    ],
)
def test_sizes_that_cannot_be_are_wrong_usage(wrong, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(["--run", "r", "--data", "d", "--validation", "v", *wrong])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_training_learns(simulated, tmp_path):
    training = train(tmp_path, simulated, "--presentations", "6400", "--lr", "0.005", "--log-every", "1")
    losses = [float(line.split(",")[4]) for line in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    # The last four have the angle in them.
    assert np.mean(losses[-20:-5]) < np.mean(losses[:10]) - 0.05
    assert training.presentations >= 6400


def test_another_shape_does_not_resume(simulated, tmp_path):
    train(tmp_path, simulated, stop_at=1)
    with pytest.raises(SystemExit, match="'dim': 16"):
        train(tmp_path, simulated, "--dim", "32")


@pytest.mark.parametrize("size", ["nano", "icemix"])
def test_a_run_becomes_a_folder_that_nustream_accepts(simulated, tmp_path, node, size):
    train(tmp_path / "run", simulated, size=size, stop_at=4)
    out = tmp_path / "folder"
    command = ["run", "--run", tmp_path / "run", "--held-out", simulated, "--data", simulated, "--out", out]
    assert export.main([str(part) for part in command]) == 0
    manifest = json.loads((out / "model.json").read_text())
    assert manifest["training"]["dataDigest"].startswith("sha256:")
    assert manifest["expectedAccuracy"]["events"] == 400
    verified = run_node(node, ["src/cli/main.ts", "models", "verify", str(out)])
    assert verified.returncode == 0, verified.stderr


def test_a_run_fed_by_a_pipe_keeps_the_digest_of_what_came(simulated, tmp_path, node, monkeypatch):
    command = [node, "--disable-warning=ExperimentalWarning", "src/cli/main.ts", "simulate", "--out", "-"]
    seen = {}
    for seed in ("11", "11", "12"):
        made = subprocess.run(
            [*command, "--events", "100", "--seed", seed], cwd=ROOT, capture_output=True, timeout=120, check=True
        )
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(made.stdout)))
        run = tmp_path / f"{len(seen)}-{seed}"
        common = ["--run", str(run), "--data", "-", "--validation", str(simulated), "--validation-events", "50"]
        training = Training(parse([*common, *TINY, "--presentations", "768"]))
        training.run()
        seen.setdefault(seed, set()).add(training.digest)
        held_out = ["--held-out", str(simulated), "--out", str(run / "nano")]
        assert export.main(["run", "--run", str(run), *held_out]) == 0
        manifest = json.loads((run / "nano" / "model.json").read_text())
        assert manifest["training"]["dataDigest"] == training.digest
        assert "each shown once" in manifest["training"]["note"]
    assert len(seen["11"]) == 1
    assert seen["11"] != seen["12"]


def test_a_network_does_not_feel_its_padding():
    torch.manual_seed(3)
    model = Nano(NanoConfig(dim=16, layers=2)).eval()
    pulses, mask = torch.randn(1, 6, len(FEATURES)), torch.ones(1, 6, dtype=torch.bool)
    padded = torch.cat([pulses, torch.zeros(1, 9, len(FEATURES))], 1)
    wide = torch.cat([mask, torch.zeros(1, 9, dtype=torch.bool)], 1)
    torch.testing.assert_close(model(padded, wide), model(pulses, mask), atol=1e-5, rtol=1e-5)


def draw_vmf_angles(rng: np.random.Generator, kappa: np.ndarray) -> np.ndarray:
    # The inverse of the share within an angle, by its closed form for the cosine.
    share = rng.random(len(kappa))
    return np.arccos(1 + np.log1p(-share * -np.expm1(-2 * kappa)) / kappa)


def test_radii_hold_their_share():
    rng = np.random.default_rng(1)
    for kappa in (0.1, 2.0, 300.0):
        error = draw_vmf_angles(rng, np.full(100_000, kappa))
        for share in (0.5, 0.9):
            assert np.mean(error < radius(np.array([kappa]), share)) == pytest.approx(share, abs=0.01)


def test_calibration_finds_what_kappa_should_have_been():
    rng = np.random.default_rng(2)
    true_kappa = np.exp(rng.normal(1, 1.5, 40_000))
    claimed = 3 * true_kappa**1.4
    error = draw_vmf_angles(rng, true_kappa)
    assert coverage(claimed, error, 0.9) > 1.5
    mended = fit_map(claimed, error)(claimed)
    usual = true_kappa > 0.2
    assert mended[usual] == pytest.approx(true_kappa[usual], rel=0.25)
    for part in (true_kappa < 1, true_kappa > 10, true_kappa > 0):
        for share in (0.5, 0.9):
            assert coverage(mended[part], error[part], share) == pytest.approx(1, abs=0.05)


def test_a_tracking_server_that_is_away_does_not_stop_training(simulated, tmp_path, capsys):
    train(tmp_path, simulated, "--mlflow", "http://127.0.0.1:9", stop_at=2)
    assert "MLflow at http://127.0.0.1:9" in capsys.readouterr().err
    assert not (tmp_path / "mlflow-run").exists()


def test_a_resumed_run_is_one_run_of_the_tracking_server(tmp_path, monkeypatch):
    asked = []

    def answer(self, path, body, get=False):
        asked.append((path, body))
        return {"experiment": {"experiment_id": "1"}, "run": {"info": {"run_id": "r7"}}}

    monkeypatch.setattr(Tracking, "_ask", answer)
    first = Tracking("http://mlflow/", tmp_path, {"lr": 0.1})
    first.log(5, {"loss": 2.0})
    first.end(is_finished=False)
    Tracking("http://mlflow", tmp_path, {"lr": 0.1}).log(6, {"loss": 1.0})
    assert [path for path, _ in asked].count("runs/create") == 1
    logged = [body for path, body in asked if path == "runs/log-batch" and "metrics" in body]
    assert [(body["run_id"], body["metrics"][0]["step"]) for body in logged] == [("r7", 5), ("r7", 6)]
