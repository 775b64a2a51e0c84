"""IceMix in ONNX Runtime and in nustream answers as its PyTorch twin does, whatever the weights and the length."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT, run_node

from nustream_training import convert
from nustream_training.directions import Directions, angular_distance, read_directions
from nustream_training.events import draw_events, draw_parity_events
from nustream_training.features import build_tensors
from nustream_training.folder import answer_alone, write_folder
from nustream_training.icemix import IceMix, draw_all
from nustream_training.icemix_manifest import icemix_manifest
from nustream_training.icemix_state import parse_sizes
from nustream_training.onnx_graph import open_session, run_session

SEED = 7
SIZES = {
    "initial": "dim=32,base=16,depth=1,head=16,n_rel=1,depth_rel=2",
    "icemix-small": "dim=32,base=16,depth=2,head=16,n_rel=4",
    "graph": "dim=32,base=16,depth=1,head=16,n_rel=1,depth_rel=2,first_graph=xyzt",
}
COMMITTED = ROOT / "test" / "fixtures" / "models" / "icemix-small"
TOLERANCE = {"initial": 1e-4, "icemix-small": 5e-4, "graph": 5e-4}
every_folder = pytest.mark.parametrize("name", TOLERANCE)


def make(name: str, folder: Path) -> None:
    if name == "icemix-small":
        command = [
            f"random:{SEED}",
            "--sizes",
            SIZES[name],
            "--name",
            name,
            "--tolerance",
            "1e-4",
            "--out",
            str(folder),
        ]
        assert convert.main(command) == 0
    elif name == "graph":
        assert convert.main([f"random:{SEED}", "--sizes", SIZES[name], "--out", str(folder)]) == 0
    else:
        torch.manual_seed(SEED)
        config = parse_sizes(SIZES[name])
        texts = {"version": "1", "description": "Not trained", "licence": "Apache-2.0", "origin": "a test"}
        manifest = icemix_manifest(config, name=name, **texts)
        write_folder(folder, IceMix(config), manifest, draw_parity_events(lengths=(1, 2, 9, 63, 200)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    made = {name: tmp_path_factory.mktemp("icemix") / name for name in TOLERANCE}
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(make, made.keys(), made.values()))
    return made


def twin(name: str) -> IceMix:
    torch.manual_seed(SEED)
    module = IceMix(parse_sizes(SIZES[name]))
    if name != "initial":
        draw_all(module)
    return module.eval()


@every_folder
def test_onnx_answers_as_torch_alone_and_padded(folders, name):
    manifest = json.loads((folders[name] / "model.json").read_text())
    manifest["pulses"]["max"] = 768
    session = open_session(str(folders[name] / "model.onnx"))

    def ask(events: list) -> Directions:
        return read_directions(run_session(session, build_tensors(events, manifest)), manifest["output"])

    for lengths in ((1, 2, 17, 191, 192), (768, 1)):
        events = draw_events(seed=21, lengths=lengths)
        expected = answer_alone(twin(name), manifest, events)
        padded = ask(events)
        alone = [ask([event]) for event in events]
        alone = Directions(
            *(np.concatenate([getattr(each, key) for each in alone]) for key in ("azimuth", "zenith")), None, None
        )
        assert angular_distance(padded, expected).max() < TOLERANCE[name]
        assert angular_distance(alone, expected).max() < TOLERANCE[name]
        assert angular_distance(alone, padded).max() < TOLERANCE[name]
        np.testing.assert_allclose(padded.kappa, expected.kappa, rtol=1e-3)


@every_folder
def test_answers_differ_from_event_to_event(folders, name):
    """Otherwise every comparison here would pass on a network that ignores its input."""
    manifest = json.loads((folders[name] / "model.json").read_text())
    session = open_session(str(folders[name] / "model.onnx"))
    tensors = build_tensors(draw_events(seed=12, lengths=(20, 60, 90, 110, 150)), manifest)
    vectors = read_directions(run_session(session, tensors), manifest["output"]).vectors()
    least = 0.05 if name == "initial" else 5
    assert np.degrees(np.arccos(np.clip(vectors @ vectors.T, -1, 1))).max() > least


@every_folder
def test_nustream_accepts_the_folder(folders, node, name):
    verified = run_node(node, ["src/cli/main.ts", "models", "verify", str(folders[name])])
    assert verified.returncode == 0, verified.stderr


def test_the_folder_in_the_repository_is_this_one(folders):
    committed, made = COMMITTED, folders["icemix-small"]
    assert json.loads((committed / "model.json").read_text()) == json.loads((made / "model.json").read_text())
    weights = [
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path / "model.onnx").graph.initializer}
        for path in (committed, made)
    ]
    assert weights[0].keys() == weights[1].keys()
    for tensor, values in weights[0].items():
        np.testing.assert_allclose(values, weights[1][tensor], rtol=1e-5, atol=1e-7)


def test_the_graph_has_the_operators_that_are_fast(folders):
    nodes = onnx.load(folders["graph"] / "model.onnx").graph.node
    kinds = [node.op_type for node in nodes]
    # Every linear layer of the tokens is one Gemm; slices of packed weights are made at export, not in every run.
    assert kinds.count("Gemm") >= 20
    assert not set(kinds) & {"Split", "Pow", "Einsum", "ScatterND", "NonZero", "If", "Loop"}
    assert kinds.count("TopK") == 4
