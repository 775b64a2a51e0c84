"""Training events: read in streams from folders in the Kaggle layout, cut to the selected pulses, stored flat.

`Pool.batch` gives the same tensors as features.build_tensors, for many events at once.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nustream_training import detector
from nustream_training.directions import to_vectors
from nustream_training.events import Event
from nustream_training.features import Manifest, _normalise

ROWS_AT_ONCE = 4_000_000  # pulses of a file
SENSOR_COLUMNS = ("x", "y", "z", "quantumEfficiency", "scatteringLength", "absorptionLength")


@dataclass
class Columns:
    """Events of a stream. Pulses of event i are rows offsets[i] to offsets[i + 1]."""

    event_id: np.ndarray  # [E] int64
    offsets: np.ndarray  # [E + 1] int64
    sensor_id: np.ndarray  # [T] uint16
    time: np.ndarray  # [T] float32, ns
    charge: np.ndarray  # [T] float32, photo-electrons
    auxiliary: np.ndarray  # [T] bool
    azimuth: np.ndarray  # [E] float64, of the direction to the source
    zenith: np.ndarray  # [E] float64

    def __len__(self) -> int:
        return len(self.event_id)


@dataclass
class Pool:
    """Pulses that the network sees of each event, in its order."""

    offsets: np.ndarray  # [E + 1] int64
    sensor_id: np.ndarray  # [T] uint16
    time: np.ndarray  # [T] float32, ns after the first coincident pulse of the whole event
    charge: np.ndarray  # [T] float32
    auxiliary: np.ndarray  # [T] bool
    truth: np.ndarray  # [E, 3] float32, unit vectors to the source
    pulse_count: np.ndarray  # [E] int32, of the whole event

    def __len__(self) -> int:
        return len(self.truth)

    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def batch(self, events: np.ndarray, features: list[Manifest]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Padded pulses [E, L, F] float32, mask [E, L] bool, true directions [E, 3] float32."""
        starts, lengths = self.offsets[events], self.lengths()[events]
        mask = np.arange(lengths.max()) < lengths[:, None]  # [E, L]
        rows = (starts[:, None] + np.arange(mask.shape[1]))[mask]  # [T]
        values = np.zeros((*mask.shape, len(features)), dtype=np.float32)
        values[mask] = self._features(rows, features)
        return values, mask, self.truth[events]

    def _features(self, rows: np.ndarray, features: list[Manifest]) -> np.ndarray:
        values = np.empty((len(rows), len(features)), dtype=np.float32)
        sensors = self.sensor_id[rows]
        for i, feature in enumerate(features):
            match feature["column"]:
                case column if column in SENSOR_COLUMNS:
                    values[:, i] = _sensor_table(feature)[sensors]
                case "timeSinceFirstHlc":
                    values[:, i] = _normalise(self.time[rows].astype(np.float64), feature)
                case "charge":
                    values[:, i] = _normalise(self.charge[rows].astype(np.float64), feature)
                case "hlc":
                    values[:, i] = _normalise(~self.auxiliary[rows] * 1.0, feature)
                case other:
                    raise ValueError(f"training does not support column {other!r}")
        return values


_tables: dict[str, np.ndarray] = {}


def _sensor_table(feature: Manifest) -> np.ndarray:
    """The feature for each sensor. [5160]"""
    key = repr(sorted(feature.items(), key=str))
    if key not in _tables:
        sensors, lookup = np.arange(detector.SENSOR_COUNT), feature.get("lookup", "physical")
        match feature["column"]:
            case "x" | "y" | "z" as axis:
                raw = detector.sensor_positions()[:, "xyz".index(axis)].astype(np.float64)
            case "quantumEfficiency":
                raw = detector.quantum_efficiency(sensors, lookup)
            case "scatteringLength":
                raw = detector.ice_length(1, sensors, lookup)
            case _:
                raw = detector.ice_length(2, sensors, lookup)
        _tables[key] = _normalise(raw, feature).astype(np.float32)
    return _tables[key]


def read_kaggle(folder: Path | str, events_max: int | None = None, needs_truth: bool = True) -> Iterator[Columns]:
    """Events of train/batch_N.parquet with the directions of train_meta.parquet, some ten thousand at a time.

    An event that train_meta.parquet does not list is an error; without `needs_truth` its direction is NaN.
    """
    left = events_max
    for file in batch_files(Path(folder)):
        for columns in read_batch_file(file, needs_truth):
            if left is not None and len(columns) >= left:
                yield _take(columns, left)
                return
            left = None if left is None else left - len(columns)
            yield columns


def batch_files(folder: Path) -> list[Path]:
    """The batch files in order of their numbers."""
    files = sorted((folder / "train").glob("batch_*.parquet"), key=lambda path: int(path.stem.split("_")[1]))
    if not files:
        raise FileNotFoundError(
            f"{folder}/train has no batch_N.parquet: make one with nustream simulate --out {folder}"
        )
    return files


def read_batch_file(file: Path, needs_truth: bool = True) -> Iterator[Columns]:
    """Of one FOLDER/train/batch_N.parquet."""
    meta = file.parents[1] / "train_meta.parquet"
    for columns in _read_file(file):
        azimuth, zenith = _directions(meta, columns.event_id)
        if needs_truth and np.isnan(azimuth).any():
            missing = columns.event_id[np.isnan(azimuth)][0]
            raise ValueError(f"{meta} has no direction of event {missing}")
        columns.azimuth, columns.zenith = azimuth, zenith
        yield columns


def _directions(meta: Path, event_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth and zenith, NaN for events that are not listed. Reads the part of the file that these ids lie in."""
    span = [("event_id", ">=", int(event_id.min())), ("event_id", "<=", int(event_id.max()))]
    listed = pq.read_table(meta, columns=["event_id", "azimuth", "zenith"], filters=span)
    ids = listed["event_id"].to_numpy()
    if len(ids) == 0:
        return np.full(len(event_id), np.nan), np.full(len(event_id), np.nan)
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids[order], event_id), len(ids) - 1)
    is_listed = ids[order][place] == event_id
    azimuth, zenith = (listed[name].to_numpy()[order][place] for name in ("azimuth", "zenith"))
    return np.where(is_listed, azimuth, np.nan), np.where(is_listed, zenith, np.nan)


def _read_file(file: Path) -> Iterator[Columns]:
    rest: pa.Table | None = None
    wanted = ["event_id", "sensor_id", "time", "charge", "auxiliary"]
    for batch in pq.ParquetFile(file).iter_batches(batch_size=ROWS_AT_ONCE, columns=wanted):
        table = pa.Table.from_batches([batch])
        table = table if rest is None else pa.concat_tables([rest, table])
        ids = table["event_id"].to_numpy()
        # The last event may continue in the next rows.
        cut = len(ids) - int(np.argmax(ids[::-1] != ids[-1])) if ids[0] != ids[-1] else 0
        rest = table.slice(cut)
        if cut:
            yield _columns(table.slice(0, cut))
    if rest is not None and len(rest):
        yield _columns(rest)


class PipeError(ValueError):
    """The data of the pipe are not a sequence of complete Arrow streams with events."""


STREAM_START = b"\xff\xff\xff\xff"


class _Pipe:
    """A pipe whose next bytes can be looked at before Arrow reads them."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.ahead = b""
        self.closed = False
        self.is_cut = False  # fewer bytes arrived than requested

    def peek(self, size: int) -> bytes:
        self.ahead += self.file.read(size - len(self.ahead))
        return self.ahead

    def read(self, size: int) -> bytes:
        ahead, self.ahead = self.ahead[:size], self.ahead[size:]
        got = ahead + self.file.read(size - len(ahead)) if size > len(ahead) else ahead
        self.is_cut = self.is_cut or len(got) < size
        return got


def read_pipe(file: BinaryIO) -> Iterator[Columns]:
    """Events of Arrow streams that follow each other to the pipe's end, as `nustream simulate --out -` writes them.

    Raises PipeError if the pipe is empty, holds other data, or ends within a stream.
    """
    pipe = _Pipe(file)
    events = 0
    while start := pipe.peek(len(STREAM_START)):
        if start != STREAM_START:
            raise PipeError(_not_a_stream(pipe.peek(80), events))
        try:
            for batch in pa.ipc.open_stream(pa.PythonFile(pipe, "r")):
                events += len(batch)
                yield _wire_columns(batch)
        except (pa.ArrowInvalid, OSError) as error:
            raise PipeError(f"the pipe broke off after {events} events: {error}") from error
        if pipe.is_cut:
            raise PipeError(f"the pipe broke off after {events} events: its last Arrow stream has no end")
    if events == 0:
        raise PipeError("no events came through the pipe: did the command before it fail?")


def _not_a_stream(start: bytes, events: int) -> str:
    where = "begins with" if events == 0 else f"has after {events} events"
    text = start.decode("utf-8", "replace")
    hint = (
        "; npm prints this line: run `npx nustream …`, or `npm run --silent …`" if text.lstrip().startswith(">") else ""
    )
    return f"the pipe {where} {text!r}, which is no Arrow stream{hint}"


def _wire_columns(batch: pa.RecordBatch) -> Columns:
    """Columns of the form events/1 of docs/wire-format.md."""
    if "azimuth" not in batch.schema.names:
        raise ValueError("the events of the pipe have no azimuth and zenith: training needs the truth")
    lists = {name: batch[name] for name in ("sensor_id", "time", "charge", "auxiliary")}
    pulses = {name: column.flatten().to_numpy(zero_copy_only=False) for name, column in lists.items()}
    offsets = lists["sensor_id"].offsets.to_numpy().astype(np.int64)
    return Columns(
        event_id=batch["event_id"].to_numpy(),
        offsets=offsets - offsets[0],
        sensor_id=pulses["sensor_id"],
        time=pulses["time"],
        charge=pulses["charge"],
        auxiliary=pulses["auxiliary"] != 0,
        azimuth=batch["azimuth"].to_numpy(zero_copy_only=False),
        zenith=batch["zenith"].to_numpy(zero_copy_only=False),
    )


def gather(columns: Iterator[Columns], pulses: Manifest, events: int) -> Iterator[Pool]:
    """Pools of at least `events` events, except for the last."""
    waiting: list[Pool] = []
    for some in columns:
        waiting.append(select(some, pulses))
        if sum(map(len, waiting)) >= events:
            yield join(waiting)
            waiting = []
    if waiting:
        yield join(waiting)


def _columns(table: pa.Table) -> Columns:
    ids = table["event_id"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    return Columns(
        event_id=ids[starts],
        offsets=np.concatenate([starts, [len(ids)]]),
        sensor_id=table["sensor_id"].to_numpy().astype(np.uint16),
        time=table["time"].to_numpy().astype(np.float32),
        charge=table["charge"].to_numpy().astype(np.float32),
        auxiliary=pc.cast(table["auxiliary"], pa.bool_()).to_numpy(),
        azimuth=np.zeros(len(starts)),
        zenith=np.zeros(len(starts)),
    )


def _take(columns: Columns, events: int) -> Columns:
    end = columns.offsets[events]
    per_event = ("event_id", "azimuth", "zenith")
    return Columns(
        **{
            field.name: getattr(columns, field.name)[
                : events if field.name in per_event else events + 1 if field.name == "offsets" else end
            ]
            for field in fields(Columns)
        }
    )


def events_of(columns: Columns) -> list[Event]:
    """One at a time, as features.build_tensors takes them."""
    rows = [slice(*columns.offsets[i : i + 2]) for i in range(len(columns))]
    return [
        Event(
            int(columns.event_id[i]),
            columns.sensor_id[r].astype(np.int64),
            columns.time[r],
            columns.charge[r],
            columns.auxiliary[r],
        )
        for i, r in enumerate(rows)
    ]


def select(columns: Columns, pulses: Manifest) -> Pool:
    """The cut of a manifest with prefer hlc, by spread, order time, for many events at once."""
    form = (pulses.get("keep", "all"), pulses["prefer"], pulses["by"], pulses["order"])
    if form != ("all", "hlc", "spread", "time"):
        raise ValueError(f"pulses {pulses}: training selects keep all, prefer hlc, by spread, order time")
    is_known = np.isfinite(columns.azimuth) & np.isfinite(columns.zenith)
    if not is_known.all():
        raise ValueError(f"event {columns.event_id[~is_known][0]} has no true direction: training needs one")
    counts = np.diff(columns.offsets)
    event = np.repeat(np.arange(len(columns)), counts)  # [T]
    order = np.lexsort((columns.time, event))  # stable, so ties stay in row order
    time, auxiliary = columns.time[order].astype(np.float64), columns.auxiliary[order]
    hlc_counts = np.bincount(event, weights=~auxiliary, minlength=len(columns)).astype(np.int64)
    kept = np.ones(len(event), dtype=bool)
    if pulses["max"] is not None:
        most = pulses["max"]
        room = np.maximum(most - hlc_counts, 0)
        is_hlc = _spread(event, ~auxiliary, hlc_counts, np.full(len(columns), most))
        is_other = _spread(event, auxiliary, counts - hlc_counts, room)
        kept = np.where(auxiliary, is_other, is_hlc)
    # Over all pulses if none is coincident.
    counts_as_first = ~auxiliary | (hlc_counts == 0)[event]
    first = np.full(len(columns), np.inf)
    np.minimum.at(first, event[counts_as_first], time[counts_as_first])
    per_event = np.bincount(event[kept], minlength=len(columns))
    return Pool(
        offsets=np.concatenate([[0], np.cumsum(per_event)]),
        sensor_id=columns.sensor_id[order][kept],
        time=(time - first[event])[kept].astype(np.float32),
        charge=columns.charge[order][kept],
        auxiliary=auxiliary[kept],
        truth=to_vectors(columns.azimuth, columns.zenith).astype(np.float32),
        pulse_count=counts.astype(np.int32),
    )


def _spread(event: np.ndarray, of_class: np.ndarray, counts: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Whether a pulse is pulse floor(i n / room) of the n of its class and event in time order, 0 <= i < room. [T]"""
    before = np.cumsum(of_class) - of_class
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = before - starts[event]
    n, most = np.maximum(counts, 1)[event], room[event]
    i = (rank * most + n - 1) // n
    return of_class & ((n <= most) | ((i < most) & (i * n // np.maximum(most, 1) == rank)))


def join(pools: list[Pool]) -> Pool:
    if len(pools) == 1:
        return pools[0]
    shifts = np.cumsum([0, *(pool.offsets[-1] for pool in pools)])
    offsets = [pool.offsets[:-1] + shift for pool, shift in zip(pools, shifts[:-1], strict=True)]
    columns = {
        field.name: np.concatenate([getattr(pool, field.name) for pool in pools])
        for field in fields(Pool)
        if field.name != "offsets"
    }
    return Pool(offsets=np.concatenate([*offsets, [shifts[-1]]]), **columns)


def load_pool(folders: list[Path], pulses: Manifest, events_max: int | None = None) -> Pool:
    """All events of the folders, cut; a few hundred bytes of memory per event."""
    return join([select(columns, pulses) for folder in folders for columns in read_kaggle(folder, events_max)])


def passes(folders: list[Path], pulses: Manifest, at_once: int, seed: int, start: int = 0) -> Iterator[Pool]:
    """Pools of `at_once` files over all files of the folders, repeated without end, without the first `start`.

    Each pass has another order of files. The next pool is read while the last one is in use, so memory holds two pools
    for any size of the data. If all files are one pool, it is read once.
    """
    files = [file for folder in folders for file in batch_files(Path(folder))]
    parts = -(-len(files) // at_once)

    def read(number: int) -> Pool:
        order = np.random.default_rng([seed, 2, number // parts]).permutation(len(files))
        first = number % parts * at_once
        # In the order of their numbers, so that one pool of all files is always the same.
        chosen = [files[i] for i in sorted(order[first : first + at_once])]
        return join([select(columns, pulses) for file in chosen for columns in read_batch_file(file)])

    if parts == 1:
        whole = read(0)
        while True:
            yield whole
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(read, start)
        for number in count(start + 1):
            pool = following.result()
            following = reader.submit(read, number)
            yield pool
            del pool


def chain_digest(before: str, pool: Pool) -> str:
    """Digest of all pools of a stream so far, from the digest before this pool (empty at first)."""
    value = hashlib.sha256(before.encode())
    for field in fields(Pool):
        value.update(np.ascontiguousarray(getattr(pool, field.name)).tobytes())
    return f"sha256:{value.hexdigest()}"


def digest(folders: list[Path]) -> str:
    """Digest of the bytes of all files of the data sets, in order of their names."""
    value = hashlib.sha256()
    for folder in folders:
        for file in [*sorted((Path(folder) / "train").glob("batch_*.parquet")), Path(folder) / "train_meta.parquet"]:
            value.update(hashlib.sha256(file.read_bytes()).digest())
    return f"sha256:{value.hexdigest()}"
