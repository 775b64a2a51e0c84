"""The likelihood fit that physicists compare with: an infinite muon track, each pulse one photon (SPE Pandel).

A photon that arrives `d` metres from the track is late by a gamma-distributed time (the Pandel function, model H2 of
astro-ph/0407044). The fit seeks the track for which the times of all pulses are most probable, from the line fit and
from other directions. No ice layers, no charge, no cascades: the textbook fit, not IceCube's present one.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LIGHT_M_PER_NS = 0.299792458
PHASE_INDEX, GROUP_INDEX = 1.3195, 1.35634  # of ice at 400 nm
CHERENKOV_COS = 1 / PHASE_INDEX
CHERENKOV_SIN = math.sqrt(1 - CHERENKOV_COS**2)
# Light reaches a sensor d metres from the track that much later than the particle passes it, in units of d / c.
DELAY_PER_M = GROUP_INDEX / CHERENKOV_SIN - CHERENKOV_COS / CHERENKOV_SIN
TAU_NS, LAMBDA_M, ABSORPTION_M = 556.7, 33.29, 98.0
RATE = 1 / TAU_NS + LIGHT_M_PER_NS / GROUP_INDEX / ABSORPTION_M  # 1/ns
JITTER_NS = 15.0
NOISE = 0.03  # share of pulses that come from anywhere
WINDOW_NS = 6000.0
PLACE_SCALE_M = 50.0
STEPS = 150
LEARNING_RATE = 0.08
OTHER_SEEDS = 7


@dataclass
class Fit:
    direction: Tensor  # [E, 3], unit vectors to the source
    log_likelihood: Tensor  # [E]


def fit_tracks(place: Tensor, time: Tensor, mask: Tensor, seed: Tensor) -> Fit:
    """place [E, L, 3] m, time [E, L] ns, mask [E, L]; seed [E, 3], unit vectors to the source, of the line fit."""
    place, time, present = place.double(), time.double(), mask.double()
    share = present / present.sum(1, keepdim=True)
    middle = (share.unsqueeze(2) * place).sum(1)  # [E, 3]
    moment = (share * time).sum(1)  # [E]
    offset, delay = place - middle.unsqueeze(1), time - moment.unsqueeze(1)
    best = Fit(seed.double(), torch.full((len(place),), -math.inf, dtype=torch.float64))
    for start in (-seed.double(), *_spread_directions(OTHER_SEEDS)):
        found = _climb(offset, delay, present, start.expand(len(place), 3))
        is_better = found.log_likelihood > best.log_likelihood
        best.direction = torch.where(is_better.unsqueeze(1), found.direction, best.direction)
        best.log_likelihood = torch.where(is_better, found.log_likelihood, best.log_likelihood)
    return best


def log_density(late: Tensor, distance: Tensor, cos_eta: Tensor) -> Tensor:
    """Of a pulse's time after the direct light [E, L]: the gamma distribution with a soft beginning, over noise."""
    effective = 0.8395 * distance + 3.094 - 3.946 * cos_eta + 4.636 * cos_eta.square()
    shape = (effective / LAMBDA_M).clamp(min=0.02)
    # late = jitter log(exp(t / jitter) - 1) of a gamma-distributed t: t itself where that is large, a tail below 0.
    softened = torch.nn.functional.softplus(late / JITTER_NS) * JITTER_NS + 1e-6
    slope = torch.nn.functional.logsigmoid(late / JITTER_NS)
    gamma = shape * math.log(RATE) + (shape - 1) * torch.log(softened) - RATE * softened - torch.lgamma(shape) + slope
    return torch.logaddexp(gamma + math.log(1 - NOISE), torch.full_like(gamma, math.log(NOISE / WINDOW_NS)))


def log_likelihood(offset: Tensor, delay: Tensor, present: Tensor, vertex: Tensor, travel: Tensor) -> Tensor:
    """Of tracks that pass `vertex` [E, 3] at time 0 in the unit direction `travel` [E, 3]. [E]"""
    apart = offset - vertex.unsqueeze(1)  # [E, L, 3]
    along = (apart * travel.unsqueeze(1)).sum(2)
    across = apart - along.unsqueeze(2) * travel.unsqueeze(1)
    distance = (across.square().sum(2) + 1.0).sqrt()  # m; a metre, so that the slope has no pole on the track
    # Light reaches the sensor from below where this is positive.
    cos_eta = CHERENKOV_COS * travel[:, 2:] + CHERENKOV_SIN * across[:, :, 2] / distance
    direct = (along + DELAY_PER_M * distance) / LIGHT_M_PER_NS
    return (log_density(delay - direct, distance, cos_eta) * present).sum(1)


def _climb(offset: Tensor, delay: Tensor, present: Tensor, travel: Tensor) -> Fit:
    place = torch.zeros(len(offset), 3, dtype=torch.float64, requires_grad=True)
    turn = travel.clone().requires_grad_()
    optimizer = torch.optim.Adam([place, turn], lr=LEARNING_RATE)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        found = log_likelihood(offset, delay, present, place * PLACE_SCALE_M, turn / turn.norm(dim=1, keepdim=True))
        (-found.sum()).backward()
        optimizer.step()
    with torch.no_grad():
        travel = turn / turn.norm(dim=1, keepdim=True)
        return Fit(-travel, log_likelihood(offset, delay, present, place * PLACE_SCALE_M, travel))


def _spread_directions(count: int) -> list[Tensor]:
    """Unit vectors spread evenly over the sphere (a Fibonacci spiral)."""
    golden = math.pi * (3 - math.sqrt(5))
    heights = [1 - (2 * i + 1) / count for i in range(count)]
    return [
        torch.tensor(
            [math.cos(golden * i) * math.sqrt(1 - z * z), math.sin(golden * i) * math.sqrt(1 - z * z), z]
        ).double()
        for i, z in enumerate(heights)
    ]
