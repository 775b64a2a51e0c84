"""Tables for a model card: `python -m nustream_training.card --data DIR nano=nano.csv pandel=pandel.csv`

Compares directions of the same events, each in a file as `nustream evaluate --submission` writes it, by pulses and by
what the particles did, in Markdown. Only events that all files have are compared.
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from nustream_training.data import read_kaggle
from nustream_training.directions import to_vectors

PULSE_EDGES = (0, 48, 64, 96, 192, math.inf)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m nustream_training.card",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data set in the Kaggle layout")
    parser.add_argument("--each", action="store_true", help="one line per event, for few of them")
    parser.add_argument("files", nargs="+", metavar="NAME=FILE", help="event_id,azimuth,zenith")
    options = parser.parse_args(arguments)
    answers = {name: read_answers(Path(path)) for name, _, path in (file.partition("=") for file in options.files)}
    rows = list(each_event(options.data, answers) if options.each else groups(options.data, answers))
    print_table(rows)
    return 0


def read_answers(path: Path) -> dict[int, np.ndarray]:
    """Unit vectors by event."""
    with path.open(newline="") as file:
        return {
            int(row["event_id"]): to_vectors(np.float64(row["azimuth"]), np.float64(row["zenith"]))
            for row in csv.DictReader(file)
        }


def read_truth(folder: Path, wanted: set[int]) -> dict[int, tuple[np.ndarray, int, str]]:
    """Unit vector, number of pulses and topology of the events."""
    meta = pq.read_table(folder / "train_meta.parquet")
    names = meta["topology"].to_pylist() if "topology" in meta.column_names else ["unknown"] * len(meta)
    topology = dict(zip(meta["event_id"].to_pylist(), names, strict=True))
    found = {}
    for columns in read_kaggle(folder):
        vectors, counts = to_vectors(columns.azimuth, columns.zenith), np.diff(columns.offsets)
        for i, event_id in enumerate(columns.event_id.tolist()):
            if event_id in wanted:
                found[event_id] = (vectors[i], int(counts[i]), topology[event_id])
    return found


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b))


def groups(folder: Path, answers: dict[str, dict[int, np.ndarray]]) -> Iterator[list[str]]:
    common = set.intersection(*(set(of) for of in answers.values()))
    truth = read_truth(folder, common)
    pulses = np.array([count for _, count, _ in truth.values()])
    topology = np.array([name for _, _, name in truth.values()])
    errors = {
        name: np.array([angle(of[event_id], vector) for event_id, (vector, _, _) in truth.items()])
        for name, of in answers.items()
    }
    yield ["events", "number", *(f"{name}: mean, median" for name in answers)]
    chosen = [("all", np.ones(len(pulses), dtype=bool))]
    for low, high in pairwise(PULSE_EDGES):
        label = f"{low} pulses and more" if high == math.inf else f"{max(low, 1)} to {high - 1} pulses"
        chosen.append((label, (pulses >= low) & (pulses < high)))
    chosen += [(name, topology == name) for name in sorted(set(topology.tolist()))]
    for label, part in chosen:
        if part.any():
            cells = [
                f"{np.degrees(error[part].mean()):.1f}°, {np.degrees(np.median(error[part])):.1f}°"
                for error in errors.values()
            ]
            yield [label, f"{part.sum():,}", *cells]


def each_event(folder: Path, answers: dict[str, dict[int, np.ndarray]]) -> Iterator[list[str]]:
    truth = read_truth(folder, set.intersection(*(set(of) for of in answers.values())))
    yield ["event", "pulses", *answers]
    for event_id, (vector, count, _) in truth.items():
        yield [
            str(event_id),
            str(count),
            *(f"{math.degrees(angle(of[event_id], vector)):.1f}°" for of in answers.values()),
        ]
    means = (np.mean([angle(of[event_id], truth[event_id][0]) for event_id in truth]) for of in answers.values())
    yield ["mean", "", *(f"{math.degrees(mean):.1f}°" for mean in means)]


def print_table(rows: list[list[str]]) -> None:
    head, *body = rows
    for row in (head, ["---", *["---:"] * (len(head) - 1)], *body):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    sys.exit(main())
