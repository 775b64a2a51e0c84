"""Measures the speed of bare ONNX Runtime with a network: `python -m nustream_training.speed FOLDER [FOLDER …]`

Events as a stream has them: log-normal lengths, windows of 1,024 sorted by length, runs filled up to a budget of padded
pulses. One process per worker, one thread each; with --cpu, events per second of processor time, which other programs
on the machine disturb less. Folders are measured in turn, so that their ratio holds on a busy
machine; a matrix product is measured too, which shows the speed of the machine meanwhile.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from nustream_training.events import draw_event, draw_lengths
from nustream_training.features import Manifest, Tensors, build_tensors
from nustream_training.onnx_graph import open_session, session_options

WINDOW_EVENTS = 1024
PRODUCT = (1536, 1024, 1024)
PRODUCT_NAME = "matrix product"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m nustream_training.speed", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="model folders")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=2048, help="padded pulses of a run (default %(default)s)")
    parser.add_argument("--events", type=int, default=WINDOW_EVENTS, help="events of a window (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of time")
    options = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        arguments = [(options, seed) for seed in range(options.workers)]
        per_worker = pool.starmap(measure, arguments, chunksize=1)
    for folder in options.folders:
        pulses = np.mean([window_lengths(read_manifest(folder), options.events, seed) for _, seed in arguments])
        print(f"{folder!s:40} {_total(per_worker, str(folder))} events/s of {pulses:.0f} pulses")
    print(f"{PRODUCT_NAME:40} {_total(per_worker, PRODUCT_NAME)} GFLOP/s")


def _total(per_worker: list[dict[str, list[float]]], name: str) -> str:
    total = sum(statistics.median(rounds[name]) for rounds in per_worker)
    return f"{total:10,.0f}" if total >= 100 else f"{total:10.2f}"


def measure(options: argparse.Namespace, seed: int) -> dict[str, list[float]]:
    """events/s of each folder and 10⁹ operations/s of the matrix product, per round."""
    tasks = {str(folder): network_task(folder, options.tokens, options.events, seed) for folder in options.folders}
    tasks[PRODUCT_NAME] = product_task()
    clock = time.process_time if options.cpu else time.perf_counter
    speeds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(options.rounds):
        for name, (task, amount) in tasks.items():
            start = clock()
            task()
            speeds[name].append(amount / (clock() - start))
    return speeds


def network_task(folder: Path, tokens: int, events: int, seed: int):
    manifest = read_manifest(folder)
    session = open_session(str(folder / "model.onnx"))
    runs = draw_runs(manifest, tokens, events, np.random.default_rng(seed))

    def task() -> None:
        for tensors in runs:
            session.run(None, tensors)

    task()  # the first run of each shape allocates
    return task, events


def read_manifest(folder: Path) -> Manifest:
    return json.loads((folder / "model.json").read_text())


def window_lengths(manifest: Manifest, events: int, seed: int | np.random.Generator) -> np.ndarray:
    """Number of selected pulses of each event of a window, longest first."""
    most = manifest["pulses"]["max"] or 1024
    return np.sort(np.minimum(draw_lengths(np.random.default_rng(seed), events), most))[::-1]


def draw_runs(manifest: Manifest, tokens: int, events: int, rng: np.random.Generator) -> list[Tensors]:
    """Tensors of a window of events."""
    lengths = window_lengths(manifest, events, rng)
    runs = []
    while len(lengths):
        taken = lengths[: max(1, tokens // lengths[0])]
        lengths = lengths[len(taken) :]
        runs.append(build_tensors([draw_event(rng, i, int(length)) for i, length in enumerate(taken)], manifest))
    return runs


def product_task():
    rows, inner, columns = PRODUCT
    weights = np.random.default_rng(0).standard_normal((inner, columns), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [rows, inner])],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [rows, columns])],
        [onnx.numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options())
    values = np.ones((rows, inner), dtype=np.float32)
    return lambda: session.run(None, {"a": values}), 2 * rows * inner * columns / 1e9


if __name__ == "__main__":
    main()
