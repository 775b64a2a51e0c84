"""Tables for a model card, in Markdown.

`python -m nustream_training.card --data DIR nano=nano.csv pandel=pandel.csv` compares directions of the same events,
each in a file of `nustream evaluate --submission`, by pulses and by topology. Only events with known truth that all
files have are compared; `--each` prints a line for each event, also without truth.

`python -m nustream_training.card --report evaluation.json` prints the calibration of kappa from the report of
`nustream evaluate --out`.
"""

import argparse
import csv
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from nustream_training.data import read_kaggle
from nustream_training.directions import to_vectors

PULSE_EDGES = (0, 48, 64, 96, 192, math.inf)
Row = list[str]


@dataclass(frozen=True)
class Known:
    """The known facts of an event. Angles in radians, NaN if the truth is not known."""

    azimuth: float
    zenith: float
    pulses: int
    topology: str


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m nustream_training.card",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="data set in the Kaggle layout")
    parser.add_argument("--each", action="store_true", help="one line per event, for few of them")
    parser.add_argument("--report", type=Path, metavar="FILE", help="evaluation.json: calibration of kappa")
    parser.add_argument("files", nargs="*", metavar="NAME=FILE", help="event_id,azimuth,zenith")
    options = parser.parse_args(arguments)
    if options.report is None and not (options.data and options.files):
        parser.error("give --report FILE, or --data DIR with at least one NAME=FILE")
    if options.report:
        print_table(list(calibration(json.loads(options.report.read_text()))))
        return 0
    answers = {name: read_answers(Path(path)) for name, _, path in (file.partition("=") for file in options.files)}
    rows = each_event(options.data, answers) if options.each else groups(options.data, answers)
    print_table(list(rows))
    return 0


def read_answers(path: Path) -> dict[int, tuple[float, float]]:
    """Azimuth and zenith by event, radians."""
    with path.open(newline="") as file:
        return {int(row["event_id"]): (float(row["azimuth"]), float(row["zenith"])) for row in csv.DictReader(file)}


def read_known(folder: Path, wanted: set[int]) -> dict[int, Known]:
    meta = pq.read_table(folder / "train_meta.parquet")
    names = meta["topology"].to_pylist() if "topology" in meta.column_names else ["unknown"] * len(meta)
    topology = dict(zip(meta["event_id"].to_pylist(), names, strict=True))
    found = {}
    for columns in read_kaggle(folder, needs_truth=False):
        counts = np.diff(columns.offsets).tolist()
        truth = zip(columns.azimuth.tolist(), columns.zenith.tolist(), strict=True)
        for event_id, pulses, (azimuth, zenith) in zip(columns.event_id.tolist(), counts, truth, strict=True):
            if event_id in wanted:
                found[event_id] = Known(azimuth, zenith, pulses, topology.get(event_id, "unknown"))
    return found


def errors_of(answers: dict[int, tuple[float, float]], known: dict[int, Known]) -> np.ndarray:
    """Opening angles, radians, in the order of `known`; NaN without truth."""
    found = to_vectors(*np.array([answers[event_id] for event_id in known]).reshape(-1, 2).T)
    truth = to_vectors(*np.array([(of.azimuth, of.zenith) for of in known.values()]).reshape(-1, 2).T)
    return np.arctan2(np.linalg.norm(np.cross(found, truth), axis=1), (found * truth).sum(1))


def groups(folder: Path, answers: dict[str, dict[int, tuple[float, float]]]) -> Iterator[Row]:
    known = read_known(folder, set.intersection(*(set(of) for of in answers.values())))
    known = {event_id: of for event_id, of in known.items() if not math.isnan(of.azimuth + of.zenith)}
    pulses = np.array([of.pulses for of in known.values()])
    topology = np.array([of.topology for of in known.values()])
    errors = {name: errors_of(of, known) for name, of in answers.items()}
    yield ["events", "number", *(f"{name}: mean, median" for name in answers)]
    chosen = [("all", np.ones(len(pulses), dtype=bool))]
    for low, high in pairwise(PULSE_EDGES):
        label = f"{low} pulses and more" if high == math.inf else f"{max(low, 1)} to {high - 1} pulses"
        chosen.append((label, (pulses >= low) & (pulses < high)))
    chosen += [(name, topology == name) for name in sorted(set(topology.tolist()) - {"unknown"})]
    for label, part in chosen:
        if part.any():
            cells = [
                f"{np.degrees(error[part].mean()):.1f}°, {np.degrees(np.median(error[part])):.1f}°"
                for error in errors.values()
            ]
            yield [label, f"{part.sum():,}", *cells]


def each_event(folder: Path, answers: dict[str, dict[int, tuple[float, float]]]) -> Iterator[Row]:
    known = read_known(folder, set.intersection(*(set(of) for of in answers.values())))
    errors = {name: errors_of(of, known) for name, of in answers.items()}
    yield ["event", "pulses", "truth: azimuth, zenith", *(f"{name}: azimuth, zenith; error" for name in answers)]
    for i, (event_id, of) in enumerate(known.items()):
        cells = (_answer(*answers[name][event_id], error[i]) for name, error in errors.items())
        truth = "not published" if math.isnan(of.azimuth + of.zenith) else _direction(of.azimuth, of.zenith)
        yield [str(event_id), str(of.pulses), truth, *cells]
    with_truth = sum(not math.isnan(error) for error in next(iter(errors.values())))
    if with_truth:
        means = (f"{np.degrees(np.nanmean(error)):.1f}°" for error in errors.values())
        yield [f"mean error of {with_truth}", "", "", *means]


def calibration(report: dict) -> Iterator[Row]:
    """Radii that contain 50 % and 90 % of the events, predicted and observed, for all events and by kappa."""
    yield ["model", "kappa", "events", "50 % predicted", "observed", "ratio", "90 % predicted", "observed", "ratio"]
    for model in report["models"]:
        if (of := model["calibration"]) is None:
            continue
        yield [model["label"], "all", f"{of['events']:,}", *_radius(of["radius50"]), *_radius(of["radius90"])]
        for part in of["byKappa"]:
            kappa = f"{part['kappaFrom']:.3g} to {part['kappaTo']:.3g}"
            yield ["", kappa, f"{part['events']:,}", *_radius(part["radius50"]), *_radius(part["radius90"])]


def _radius(of: dict) -> Row:
    return [
        f"{math.degrees(of['predictedRad']):.1f}°",
        f"{math.degrees(of['observedRad']):.1f}°",
        f"{of['ratio']:.2f}",
    ]


def _direction(azimuth: float, zenith: float) -> str:
    return f"{math.degrees(azimuth):.0f}°, {math.degrees(zenith):.0f}°"


def _answer(azimuth: float, zenith: float, error: float) -> str:
    off = "" if math.isnan(error) else f"; {math.degrees(error):.1f}°"
    return f"{_direction(azimuth, zenith)}{off}"


def print_table(rows: list[Row]) -> None:
    head, *body = rows
    for row in (head, ["---", *["---:"] * (len(head) - 1)], *body):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    sys.exit(main())
