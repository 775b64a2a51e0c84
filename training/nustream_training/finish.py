"""From a training run to a model folder: the running mean of the weights, kappa calibrated on held-out events."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from nustream_training.calibrate import SHARES, coverage, fit_map
from nustream_training.calibrated import Calibrated
from nustream_training.data import digest, load_pool
from nustream_training.events import LENGTHS, draw_parity_events
from nustream_training.features import Manifest
from nustream_training.folder import write_folder
from nustream_training.loss import angles
from nustream_training.network import Network, described
from nustream_training.train import CHECKPOINT, PIPE, predict


def read_run(run: Path) -> tuple[Calibrated, Network, dict]:
    """The network with the running mean of its weights, its description, and the checkpoint."""
    state = torch.load(run / CHECKPOINT, map_location="cpu", weights_only=True)
    network = described(state["config"])
    model = network.build()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(state["mean"][name])
    return model.eval(), network, state


def finish(run: Path, held_out: Path, out: Path, seed: int, tolerance_rad: float, data_digest: str | None) -> str:
    """Writes the model folder; returns a summary of the calibration. A run from a pipe stores its own digest."""
    model, network, state = read_run(run)
    manifest = network.manifest()
    pool = load_pool([held_out], manifest["pulses"])
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        vectors = predict(model, network, pool, threads, torch.device("cpu"))
    error = angles(vectors, torch.from_numpy(pool.truth)).numpy().astype(np.float64)
    kappa = vectors.norm(dim=1).numpy().astype(np.float64)
    kappa_map = fit_map(kappa, error)
    model.set_kappa_map(kappa_map)
    manifest["training"] |= {
        "dataDigest": data_digest or state.get("digest") or None,
        "events": state["presentations"],
        "seed": seed,
        "note": f"{state['presentations']:,} presentations of events of {source_of(state['data'])}; "
        f"kappa calibrated on {len(pool):,} others",
    }
    manifest["expectedAccuracy"] = {
        "data": "events of nustream simulate on which kappa was calibrated",
        "events": len(pool),
        "meanAngularErrorRad": round(float(error.mean()), 4),
        "medianAngularErrorRad": round(float(np.median(error)), 4),
    }
    manifest = carry_reference(out, manifest)
    write_folder(out, model, manifest, draw_parity_events(seed, LENGTHS), tolerance_rad)
    return "; ".join(
        f"{share:.0%} radius {coverage(kappa, error, share):.3f} of the prediction before, "
        f"{coverage(kappa_map(kappa), error, share):.3f} after"
        for share in SHARES
    )


def source_of(names: list[str]) -> str:
    return "nustream simulate, each shown once" if names == [PIPE.name] else ", ".join(names)


def digest_of_all(folders: list[Path]) -> str:
    """A single digest of one or more data sets."""
    parts = [digest([folder]) for folder in folders]
    return parts[0] if len(parts) == 1 else f"sha256:{hashlib.sha256(' '.join(parts).encode()).hexdigest()}"


def carry_reference(out: Path, manifest: Manifest) -> Manifest:
    """Keeps the histograms that `nustream models reference` wrote into the folder earlier."""
    path = out / "model.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    return {**manifest, **({"reference": before["reference"]} if "reference" in before else {})}
