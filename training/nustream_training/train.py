"""Trains nano or IceMix: `python -m nustream_training.train --help`

One optimiser step is a few microbatches of events of similar length, processed by `--threads` threads of one torch
thread each: on a busy CPU that is faster than threads inside each operator, which wait for the slowest at every one.
Gradients are added in the microbatches' order, so the number of threads changes nothing.
"""

import argparse
import csv
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # makes results on a GPU reproducible

import numpy as np
import torch
from torch import Tensor, nn

from nustream_training.data import PipeError, Pool, chain_digest, gather, load_pool, passes, read_pipe
from nustream_training.loss import angle_loss, angles, vmf_loss
from nustream_training.muon import Muon
from nustream_training.network import NAMES, NANO, Network, network
from nustream_training.tracking import Tracking

MICRO_EVENTS = 64
WINDOW_BATCHES = 32
CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"
PIPE = Path("-")
CUSTOM_SIZES = "dim=64,base=32,depth=2,head=16"
NANO_FIELDS = ("dim", "layers", "heads", "mlp")
LOG_COLUMNS = ("step", "presentations", "seconds", "lr", "loss", "events_per_s", "val_mean_rad", "val_median_rad")
CLIP_NORM = 1.0
HIDDEN = re.compile(r"^(blocks\..*|embed2|event2|head1)\.weight$")
WEIGHT_DECAY = 0.02


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(1)
    training = Training(options)
    if (options.run / CHECKPOINT).exists():
        training.resume()
    signal.signal(signal.SIGTERM, training.stop)
    signal.signal(signal.SIGINT, training.stop)
    try:
        training.run()
    except PipeError as error:
        raise SystemExit(f"error: {error}") from error
    return 0


class Training:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.network: Network = options.network
        torch.manual_seed(options.seed)
        self.device = torch.device(options.device)
        torch.use_deterministic_algorithms(self.device.type == "cuda", warn_only=True)
        self.model = self.network.build().to(self.device)
        self.mean = [parameter.detach().clone() for parameter in self.model.parameters()]
        self.optimizers = optimizers(self.model, options)
        self.step, self.presentations, self.seconds = 0, 0, 0.0
        self.epoch, self.taken = 0, 0  # passes over the pool, batches taken of this one
        self.digest = ""  # of all that came through a pipe
        self.is_stopped = False
        self.pulses = self.network.manifest()["pulses"]
        self.pool: Pool  # of the pass that runs
        self.validation = load_pool([options.validation], self.pulses, options.validation_events)
        options.run.mkdir(parents=True, exist_ok=True)
        self.tracking = Tracking(options.mlflow, options.run, vars(options))

    def run(self) -> None:
        print(f"{len(self.validation)} validation events", flush=True)
        options, losses, since, at = self.options, [], time.monotonic(), self.presentations
        saved = time.monotonic()
        first = self.step
        with ThreadPoolExecutor(options.threads) as threads:
            for batch in self.until_broken(self.batches()):
                started = time.monotonic()
                losses.append(self.take_step(batch, threads))
                now = time.monotonic()
                self.seconds += now - started
                self.taken += 1
                is_last = self.presentations >= options.presentations or self.is_stopped
                if self.step % options.log_every == 0 or is_last:
                    speed = (self.presentations - at) / (now - since)
                    is_checked = self.step % options.validate_every == 0 or is_last
                    scores = self.validate(threads) if is_checked else (None, None)
                    self.log(float(np.mean(losses)), speed, *scores)
                    losses, since, at = [], time.monotonic(), self.presentations
                if now - saved > options.checkpoint_s or is_last:
                    self.save()
                    saved = time.monotonic()
                if is_last:
                    self.tracking.end(self.presentations >= options.presentations)
                    return
        if self.step == first:
            self.tracking.end(is_finished=False)
            raise PipeError(f"fewer events came through the pipe than one batch holds ({options.batch})")
        self.save()  # the pipe ended first
        self.tracking.end(is_finished=True)

    def until_broken(self, batches: Iterator[list[np.ndarray]]) -> Iterator[list[np.ndarray]]:
        """The same batches; saves a checkpoint before a broken pipe ends the training."""
        first = self.step
        try:
            yield from batches
        except PipeError:
            if self.step > first:
                self.save()
            self.tracking.end(is_finished=False)
            raise

    def batches(self) -> Iterator[list[np.ndarray]]:
        """Batches of microbatches of indices into `pool`: pass after pass over the data sets, or a pipe to its end."""
        for pool in self.pools():
            self.pool = pool
            yield from self.batches_of_pass()
            self.epoch, self.taken = self.epoch + 1, 0

    def pools(self) -> Iterator[Pool]:
        options = self.options
        if options.data != [PIPE]:
            yield from passes(options.data, self.pulses, options.files, options.seed, self.epoch)
            return
        for pool in gather(read_pipe(sys.stdin.buffer), self.pulses, options.batch * WINDOW_BATCHES):
            self.digest = chain_digest(self.digest, pool)
            yield pool

    def batches_of_pass(self) -> Iterator[list[np.ndarray]]:
        """The same for the same seed, pass and pool; continues after those already taken."""
        rng = np.random.default_rng([self.options.seed, self.epoch])
        order = rng.permutation(len(self.pool))
        lengths = self.pool.lengths()
        micros = self.options.batch // MICRO_EVENTS
        window = micros * MICRO_EVENTS * WINDOW_BATCHES
        number, skipped = 0, self.taken
        for first in range(0, len(order), window):
            events = order[first : first + window]
            events = events[np.argsort(lengths[events], kind="stable")]
            parts = [events[i : i + MICRO_EVENTS] for i in range(0, len(events), MICRO_EVENTS)]
            mixed = rng.permutation(len(parts))
            for i in range(0, len(parts) - micros + 1, micros):
                number += 1
                if number > skipped:
                    yield [parts[j] for j in mixed[i : i + micros]]

    def take_step(self, batch: list[np.ndarray], threads: ThreadPoolExecutor) -> float:
        rng = np.random.default_rng([self.options.seed, 1, self.step])
        turns = [(rng.uniform(0, 2 * np.pi, len(part)), rng.random(len(part)) < 0.5) for part in batch]
        # The longest first, so that no thread runs it alone at the end.
        longest = sorted(range(len(batch)), key=lambda i: -self.pool.lengths()[batch[i][-1]])
        jobs = {i: threads.submit(self.gradients, batch[i], *turns[i]) for i in longest}
        results = [jobs[i].result() for i in range(len(batch))]
        parameters = list(self.model.parameters())
        total = sum(len(part) for part in batch)
        for j, parameter in enumerate(parameters):
            parameter.grad = sum(
                grads[j] * (len(part) / total) for part, (_, grads) in zip(batch, results, strict=True)
            )
        norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        if not torch.isfinite(norm):
            raise RuntimeError(f"the gradient is {norm} at step {self.step}: lower --lr, resume from the checkpoint")
        rate = learning_rate(self.presentations, self.options)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        self.step += 1
        self.presentations += total
        keep = min(self.options.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, [p.detach() for p in parameters], 1 - keep)
        return sum(loss * len(part) for part, (loss, _) in zip(batch, results, strict=True)) / total

    def gradients(self, events: np.ndarray, turn: np.ndarray, mirror: np.ndarray) -> tuple[float, list[Tensor]]:
        pulses, mask, truth = (torch.from_numpy(part) for part in self.pool.batch(events, self.network.features))
        rotate(pulses, truth, torch.from_numpy(turn).float(), torch.from_numpy(mirror))
        pulses, mask, truth = (part.to(self.device) for part in (pulses, mask, truth))
        is_half = self.device.type == "cuda" and self.network.takes_half_precision
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_half):
            vector = self.model(pulses, mask).float()
        share = angle_share(self.presentations, self.options)
        loss = vmf_loss(vector, truth)
        if share > 0:
            loss = loss + share * angle_loss(vector, truth)
        # The readout inside V22 and V23 is unused, so its gradient is 0.
        return float(loss.detach()), torch.autograd.grad(loss, list(self.model.parameters()), materialize_grads=True)

    def validate(self, threads: ThreadPoolExecutor) -> tuple[float, float]:
        model = self.mean_model()
        found = predict(model, self.network, self.validation, threads, self.device)
        error = angles(found, torch.from_numpy(self.validation.truth)).numpy()
        return float(error.mean()), float(np.median(error))

    def mean_model(self) -> nn.Module:
        """Validates the running mean of the weights, which is exported."""
        model = self.network.build().to(self.device)
        with torch.no_grad():
            for parameter, mean in zip(model.parameters(), self.mean, strict=True):
                parameter.copy_(mean)
        return model.eval()

    def log(self, loss: float, speed: float, mean: float | None, median: float | None) -> None:
        path = self.options.run / LOG
        is_new = not path.exists()
        rate = learning_rate(self.presentations, self.options)
        row = (self.step, self.presentations, round(self.seconds), f"{rate:.3g}", f"{loss:.4f}", f"{speed:.0f}")
        row += tuple("" if value is None else f"{value:.4f}" for value in (mean, median))
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(LOG_COLUMNS)
            writer.writerow(row)
        print(",".join(map(str, row)), flush=True)
        values = {name: float(value) for name, value in zip(LOG_COLUMNS, row, strict=True) if value != ""}
        self.tracking.log(self.step, values)

    def save(self) -> None:
        parameters = dict(self.model.named_parameters())
        state = {
            "config": self.network.describe(),
            "model": {name: parameter.detach() for name, parameter in parameters.items()},
            "mean": dict(zip(parameters, self.mean, strict=True)),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            **{key: getattr(self, key) for key in ("step", "presentations", "seconds", "epoch", "taken", "digest")},
            "data": [folder.name for folder in self.options.data],
        }
        path = self.options.run / CHECKPOINT
        part = path.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, path)

    def resume(self) -> None:
        state = torch.load(self.options.run / CHECKPOINT, map_location=self.device, weights_only=True)
        asked = self.network.describe()
        if state["config"] != asked:
            raise SystemExit(f"error: {self.options.run} holds {state['config']}, asked for {asked}")
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(state["model"][name])
        self.mean = list(state["mean"].values())
        if len(state["optimizers"]) == len(self.optimizers):
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        else:
            print("the optimizer has changed: its moments restart", flush=True)
        for key in ("step", "presentations", "seconds", "epoch", "taken", "digest"):
            setattr(self, key, state[key])
        # Other events, or a restarted pipe: a new pass.
        if self.options.data == [PIPE] or state["data"] != [folder.name for folder in self.options.data]:
            self.epoch, self.taken = self.epoch + 1, 0
        self.forget_after(self.step)
        print(f"resumed after step {self.step}, {self.presentations} presentations", flush=True)

    def forget_after(self, step: int) -> None:
        """Removes log lines after the last checkpoint; they are written again."""
        path = self.options.run / LOG
        if not path.exists():
            return
        head, *lines = path.read_text().splitlines()
        kept = [line for line in lines if line.count(",") == head.count(",") and int(line.split(",")[0]) <= step]
        part = path.with_suffix(".part")
        part.write_text("".join(f"{line}\n" for line in (head, *kept)))
        os.replace(part, path)

    def stop(self, *_: object) -> None:
        self.is_stopped = True


def optimizers(model: nn.Module, options: argparse.Namespace) -> list[torch.optim.Optimizer]:
    """Muon, which makes each step of a hidden matrix orthogonal, with AdamW for all else; or AdamW alone.

    Weight decay applies to matrices only. Both use the same learning rate.
    """
    hidden, matrices, others = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2 or "geometry" in name:
            others.append(parameter)
        elif options.optimizer == "muon" and HIDDEN.search(name):
            hidden.append(parameter)
        else:
            matrices.append(parameter)
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=options.lr, betas=(0.9, 0.98))
    if not hidden:
        return [adamw]
    muon = Muon(hidden, lr=options.lr, weight_decay=WEIGHT_DECAY)
    return [adamw, muon]


def rotate(pulses: Tensor, truth: Tensor, turn: Tensor, mirror: Tensor) -> None:
    """Turns each event about the vertical by `turn` [E] radians, after mirroring y where `mirror` [E]. In place.

    The ice is symmetric about the vertical, so this gives another valid event.
    """
    sign = 1 - 2 * mirror.to(pulses.dtype)
    cos, sin = torch.cos(turn), torch.sin(turn)
    for x, y in ((pulses[:, :, 0], pulses[:, :, 1]), (truth[:, 0], truth[:, 1])):
        c, s, m = (part.unsqueeze(1) if x.dim() == 2 else part for part in (cos, sin, sign))
        turned = c * x - s * (m * y), s * x + c * (m * y)
        x.copy_(turned[0])
        y.copy_(turned[1])


def learning_rate(presentations: int, options: argparse.Namespace) -> float:
    """Rises over the first `warmup` presentations, stays, and falls to 0 over the last `decay` of them."""
    rise = min(1.0, (presentations + 1) / options.warmup)
    fall = min(1.0, max(0.0, options.presentations - presentations) / options.decay)
    return options.lr * rise * fall


def angle_share(presentations: int, options: argparse.Namespace) -> float:
    """The angle is added to the loss when the learning rate begins to fall."""
    return options.angle if presentations > options.presentations - options.decay else 0.0


def predict(
    model: nn.Module, network: Network, pool: Pool, threads: ThreadPoolExecutor, device: torch.device
) -> Tensor:
    """Vectors to the source, [E, 3], on the CPU. `model` is of `network`."""
    order = np.argsort(pool.lengths(), kind="stable")
    parts = [order[i : i + 128] for i in range(0, len(order), 128)]

    def ask(part: np.ndarray) -> Tensor:
        pulses, mask, _ = (torch.from_numpy(column).to(device) for column in pool.batch(part, network.features))
        with torch.no_grad():
            return model(pulses, mask).float().cpu()

    found = torch.empty(len(pool), 3)
    for part, answer in zip(parts, threads.map(ask, parts), strict=True):
        found[part] = answer
    return found


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nustream_training.train",
        description="Trains nano or IceMix. Started again with the same --run, it resumes where it stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--run", type=Path, required=True, metavar="DIR", help="folder of checkpoint and log")
    add("--size", default=NANO, metavar="NAME", help=f"{', '.join(NAMES)}, or IceMix with sizes such as {CUSTOM_SIZES}")
    add(
        "--data",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="data sets in the Kaggle layout, or - for a pipe of nustream simulate --out -",
    )
    add("--files", type=int, default=4, metavar="N", help="files of --data in memory and mixed at a time")
    add("--validation", type=Path, required=True, metavar="DIR", help="data set of validation events")
    add("--validation-events", type=int, default=10_000, metavar="N")
    add("--presentations", type=int, default=6_000_000, metavar="N", help="total number of events shown, with repeats")
    add("--batch", type=int, default=384, metavar="N", help=f"events per step, a multiple of {MICRO_EVENTS}")
    add("--optimizer", choices=("adamw", "muon"), help="muon is for nano (default: depends on the size)")
    add("--lr", type=float, help="highest learning rate (default: depends on the size)")
    add("--warmup", type=int, default=100_000, metavar="N", help="presentations over which the learning rate rises")
    add("--decay", type=int, default=1_500_000, metavar="N", help="last presentations over which it falls to 0")
    add("--angle", type=float, default=1.0, help="weight of the angle in the loss during --decay")
    add("--ema", type=float, default=0.998, help="decay of the running mean of the weights")
    for name in NANO_FIELDS:
        add(f"--{name}", type=int, default=argparse.SUPPRESS, help="of nano")
    add("--pulses-max", type=int, help="most pulses per event (default: depends on the size)")
    add("--seed", type=int, default=1)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--threads", type=int, help="microbatches at a time (default: one per core, two on a GPU)")
    add("--mlflow", metavar="URL", help="MLflow tracking server to which the run is logged")
    add("--log-every", type=int, default=50, metavar="STEPS")
    add("--validate-every", type=int, default=500, metavar="STEPS")
    add("--checkpoint-s", type=float, default=180, metavar="S", help="seconds between checkpoints")
    options = parser.parse_args(arguments)
    of_nano = {name: vars(options).pop(name) for name in NANO_FIELDS if name in options}
    try:
        options.network = network(options.size, options.pulses_max, **of_nano)
    except ValueError as error:
        parser.error(str(error))
    if options.batch < MICRO_EVENTS or options.batch % MICRO_EVENTS:
        parser.error(f"--batch {options.batch} is not a multiple of {MICRO_EVENTS}")
    recipe = options.network.recipe
    options.optimizer = options.optimizer or recipe.optimizer
    options.lr = options.lr or recipe.lr
    options.threads = options.threads or (2 if options.device.startswith("cuda") else os.cpu_count() or 1)
    return options


if __name__ == "__main__":
    sys.exit(main())
