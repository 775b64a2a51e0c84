"""A standard likelihood fit: an infinite muon track, the first pulse of each sensor (SPE Pandel).

A photon that arrives `d` metres from the track is late by a gamma-distributed time (the Pandel function, model H2 of
astro-ph/0407044, its scattering and absorption lengths those of the ice at the sensor), and the farther off, the less
light there is. The fit searches for the track with the most probable positions and times of the pulses, over a floor
of noise, from the line fit and from other directions. It uses no charges, no silent sensors and no cascades: it is the
textbook fit, not IceCube's current one.

`python -m nustream_training.pandel --data DIR --events 2000 --out pandel.csv` writes directions as a submission does.
"""

import argparse
import csv
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nustream_training.data import events_of, read_kaggle
from nustream_training.events import Event
from nustream_training.features import build_tensors, select_pulses
from nustream_training.linefit import LineFit, linefit_manifest

LIGHT_M_PER_NS = 0.299792458
PHASE_INDEX, GROUP_INDEX = 1.3195, 1.35634  # of ice at 400 nm
CHERENKOV_COS = 1 / PHASE_INDEX
CHERENKOV_SIN = math.sqrt(1 - CHERENKOV_COS**2)
# Light reaches a sensor d metres from the track that much later than the particle passes it, in units of d / c.
DELAY_PER_M = GROUP_INDEX / CHERENKOV_SIN - CHERENKOV_COS / CHERENKOV_SIN
TAU_NS, LAMBDA_M = 556.7, 33.29  # H2, fitted in ice of ...
MEAN_SCATTERING_M, MEAN_ABSORPTION_M = 23.9, 83.6  # harmonic means of the table over the detector
ICE_M_PER_NS = LIGHT_M_PER_NS / GROUP_INDEX
JITTER_NS = 15.0
FIRST_JITTER_NS = 100.0  # larger at first, so that no single pulse blocks the search
EARLY_SHARE = 0.15
NOISE = 0.03  # share of pulses that come from anywhere
WINDOW_NS = 6000.0
NEAR_M = 10.0  # light of a track falls with the root of the distance from there on
LIGHT_MIN = 6.0  # a sensor sees at least exp(-6) of the light near the track: noise, losses, other muons
PLACE_SCALE_M = 50.0
STEPS = 150
LEARNING_RATE = 0.2
BETAS = (0.8, 0.95)
OTHER_SEEDS = 8
PULSES_MAX = 192
EVENTS_AT_ONCE = 100


@dataclass
class Fit:
    direction: Tensor  # [E, 3], unit vectors to the source
    log_likelihood: Tensor  # [E]


@dataclass
class Pulses:
    place: Tensor  # [E, L, 3] m
    time: Tensor  # [E, L] ns
    present: Tensor  # [E, L], 1 for a pulse, 0 for padding
    scattering: Tensor  # [E, L] m, effective scattering length of the ice at the sensor
    absorption: Tensor  # [E, L] m

    def centred(self) -> "Pulses":
        """About their mean place and time."""
        share = self.present / self.present.sum(1, keepdim=True)
        middle = (share.unsqueeze(2) * self.place).sum(1, keepdim=True)
        moment = (share * self.time).sum(1, keepdim=True)
        return replace(self, place=self.place - middle, time=self.time - moment)


def fit_tracks(pulses: Pulses, seed: Tensor) -> Fit:
    """The best track of each event; seed [E, 3], unit vectors to the source, of the line fit."""
    pulses = pulses.centred()
    best = Fit(seed, torch.full((len(seed),), -math.inf, dtype=pulses.place.dtype))
    for start in (-seed, *_spread_directions(OTHER_SEEDS)):
        found = _climb(pulses, start.to(pulses.place.dtype).expand(len(seed), 3))
        is_better = found.log_likelihood > best.log_likelihood
        best.direction = torch.where(is_better.unsqueeze(1), found.direction, best.direction)
        best.log_likelihood = torch.where(is_better, found.log_likelihood, best.log_likelihood)
    return best


def fit_events(events: list[Event]) -> np.ndarray:
    """Unit vectors to the sources, [E, 3]. Events of like length go together."""
    manifest = linefit_manifest()
    first = [first_pulses(event) for event in events]
    found = np.zeros((len(events), 3))
    order = sorted(range(len(events)), key=lambda i: len(first[i]))
    for start in range(0, len(order), EVENTS_AT_ONCE):
        part = order[start : start + EVENTS_AT_ONCE]
        tensors = build_tensors([events[i] for i in part], manifest)
        with torch.no_grad():
            vectors, _ = LineFit()(torch.from_numpy(tensors["pulses"]), torch.from_numpy(tensors["mask"]))
        seed = torch.nn.functional.normalize(vectors, dim=1).float()
        found[part] = fit_tracks(gather_pulses([first[i] for i in part]), seed).direction.numpy()
    return found


def first_pulses(event: Event) -> Event:
    """The first pulse of each sensor: the least scattered one, and no afterpulse. Of those that the line fit takes."""
    rows = select_pulses(event, {**linefit_manifest()["pulses"], "max": None})
    _, first = np.unique(event.sensor_id[rows], return_index=True)
    rows = rows[np.sort(first)]
    return Event(event.event_id, event.sensor_id[rows], event.time[rows], event.charge[rows], event.auxiliary[rows])


def gather_pulses(events: list[Event]) -> Pulses:
    manifest = linefit_manifest()
    manifest["pulses"] |= {"keep": "all", "max": PULSES_MAX}
    manifest["inputs"][0]["features"] += [
        {"column": "scatteringLength", "unit": "m", "lookup": "physical"},
        {"column": "absorptionLength", "unit": "m", "lookup": "physical"},
    ]
    tensors = build_tensors(events, manifest)
    values, mask = torch.from_numpy(tensors["pulses"]), torch.from_numpy(tensors["mask"])
    # Padding has the mean ice of the detector, so that its likelihood, which is masked, is finite.
    ice = torch.where(mask.unsqueeze(2), values[:, :, 4:], torch.tensor([MEAN_SCATTERING_M, MEAN_ABSORPTION_M]))
    return Pulses(values[:, :, :3], values[:, :, 3], mask.float(), ice[:, :, 0], ice[:, :, 1])


def log_density(late: Tensor, distance: Tensor, cos_eta: Tensor, pulses: Pulses, jitter: float = JITTER_NS) -> Tensor:
    """Of a pulse's time after the direct light [E, L]: the gamma distribution with a soft beginning, over noise.

    The beginning falls by e in jitter / shape: in clear ice within some metres of the track, where the gamma
    distribution is nearly a spike, it is softer than the jitter, and up to a fifth of the probability is lost in it.
    """
    effective = 0.8395 * distance + 3.094 - 3.946 * cos_eta + 4.636 * cos_eta.square()
    shape = (effective / LAMBDA_M * MEAN_SCATTERING_M / pulses.scattering).clamp(min=0.02)
    rate = 1 / TAU_NS + ICE_M_PER_NS / pulses.absorption
    # late = jitter log(exp(t / jitter) - 1) of a gamma-distributed t: t itself where that is large, a tail below 0.
    softened = torch.nn.functional.softplus(late / jitter) * jitter + 1e-6
    slope = torch.nn.functional.logsigmoid(late / jitter)
    gamma = shape * torch.log(rate) + (shape - 1) * torch.log(softened) - rate * softened - torch.lgamma(shape) + slope
    return torch.logaddexp(gamma + math.log(1 - NOISE), torch.full_like(gamma, math.log(NOISE / WINDOW_NS)))


def log_light(distance: Tensor, pulses: Pulses) -> Tensor:
    """Of a track's light at a sensor [E, L], in units of that near the track: exp(-d / Lp) / sqrt(d), over a floor.

    As the sum over all sensors is much the same wherever the track is, this is the probability that it is this sensor
    which has a pulse, but for a constant. Lp: propagation length (icetray muex).
    """
    propagation = (pulses.scattering * pulses.absorption / 3).sqrt() / 1.07
    far = -distance / propagation - 0.5 * torch.log1p(distance / NEAR_M)
    return torch.logaddexp(far, torch.full_like(far, -LIGHT_MIN))


def log_likelihood(pulses: Pulses, vertex: Tensor, travel: Tensor, jitter: float = JITTER_NS) -> Tensor:
    """Of tracks that pass `vertex` [E, 3] at time 0 in the unit direction `travel` [E, 3]. [E]"""
    late, distance, cos_eta = residuals(pulses, vertex, travel)
    density = log_density(late, distance, cos_eta, pulses, jitter) + log_light(distance, pulses)
    return (density * pulses.present).sum(1)


def residuals(pulses: Pulses, vertex: Tensor, travel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Delay of pulses after direct light, ns; distance from the track, m; steepness of light from below."""
    apart = pulses.place - vertex.unsqueeze(1)  # [E, L, 3]
    along = (apart * travel.unsqueeze(1)).sum(2)
    across = apart - along.unsqueeze(2) * travel.unsqueeze(1)
    distance = (across.square().sum(2) + 1.0).sqrt()  # a metre, so that the slope has no pole on the track
    cos_eta = CHERENKOV_COS * travel[:, 2:] + CHERENKOV_SIN * across[:, :, 2] / distance
    return pulses.time - (along + DELAY_PER_M * distance) / LIGHT_M_PER_NS, distance, cos_eta


def _climb(pulses: Pulses, travel: Tensor) -> Fit:
    """Starts from a track through the centre of the pulses that few pulses precede. Jitter falls to its true value."""
    with torch.no_grad():
        late = residuals(pulses, torch.zeros_like(travel), travel)[0]
        late = torch.where(pulses.present > 0, late, torch.inf)
        rank = (EARLY_SHARE * pulses.present.sum(1)).long().unsqueeze(1)
        early = torch.sort(late, 1).values.gather(1, rank)  # [E, 1]
        start = -travel * LIGHT_M_PER_NS * early / PLACE_SCALE_M
    place, turn = start.clone().requires_grad_(), travel.clone().requires_grad_()
    optimizer = torch.optim.Adam([place, turn], lr=LEARNING_RATE, betas=BETAS)
    for step in range(STEPS):
        share = step / STEPS
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - share)
        optimizer.zero_grad()
        jitter = JITTER_NS + FIRST_JITTER_NS * max(0.0, 1 - 2 * share) ** 2
        found = log_likelihood(pulses, place * PLACE_SCALE_M, turn / turn.norm(dim=1, keepdim=True), jitter)
        (-found.sum()).backward()
        optimizer.step()
    with torch.no_grad():
        travel = turn / turn.norm(dim=1, keepdim=True)
        return Fit(-travel, log_likelihood(pulses, place * PLACE_SCALE_M, travel))


def _spread_directions(count: int) -> list[Tensor]:
    """Unit vectors spread evenly over the sphere (a Fibonacci spiral)."""
    golden = math.pi * (3 - math.sqrt(5))
    heights = [1 - (2 * i + 1) / count for i in range(count)]
    return [
        torch.tensor([math.cos(golden * i) * math.sqrt(1 - z * z), math.sin(golden * i) * math.sqrt(1 - z * z), z])
        for i, z in enumerate(heights)
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nustream_training.pandel", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data set in the Kaggle layout")
    parser.add_argument("--events", type=int, default=2000, metavar="N", help="the first N (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="event_id,azimuth,zenith")
    options = parser.parse_args(arguments)
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event_id", "azimuth", "zenith"])
        for columns in read_kaggle(options.data, options.events, needs_truth=False):
            events = events_of(columns)
            for event, (x, y, z) in zip(events, fit_events(events), strict=True):
                writer.writerow([event.event_id, math.atan2(y, x) % (2 * math.pi), math.atan2(math.hypot(x, y), z)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
