"""The exported folders: ONNX Runtime answers as torch does, nustream accepts them, the same seed makes the same."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import COMMANDS, COMMITTED, run_node

from nustream_training import export
from nustream_training.directions import Directions, angular_distance, read_directions
from nustream_training.events import draw_events
from nustream_training.examples import raw_mask
from nustream_training.features import Manifest, build_tensors
from nustream_training.folder import write_folder
from nustream_training.onnx_graph import ExportError, open_session, run_session

every_model = pytest.mark.parametrize("name", COMMANDS)


def ask(folder: Path, events: list) -> Directions:
    manifest = json.loads((folder / "model.json").read_text())
    session = open_session(str(folder / "model.onnx"))
    return read_directions(run_session(session, build_tensors(events, manifest)), manifest["output"])


@every_model
@pytest.mark.parametrize("lengths", [(1,), (2, 2), (191,), (1, 191), (5, 17, 2, 80, 191, 64, 3)], ids=str)
def test_answers_in_company_are_those_alone(folders, name, lengths):
    events = draw_events(seed=11, lengths=lengths)
    together = ask(folders[name], events)
    for i, event in enumerate(events):
        alone = ask(folders[name], [event])
        one = Directions(together.azimuth[[i]], together.zenith[[i]], None, None)
        assert angular_distance(one, alone)[0] < 1e-5
        if together.kappa is not None:
            assert together.kappa[i] == pytest.approx(alone.kappa[0], rel=1e-4)
        if together.degenerate is not None:
            assert together.degenerate[i] == alone.degenerate[0]


@every_model
def test_answers_differ_from_event_to_event(folders, name):
    """Otherwise every comparison here would pass on a network that ignores its input."""
    vectors = ask(folders[name], draw_events(seed=12, lengths=(20, 60, 90, 110, 150))).vectors()
    cosines = vectors @ vectors.T
    assert np.degrees(np.arccos(np.clip(cosines, -1, 1))).max() > 5


@every_model
def test_axes_of_the_graph_are_dynamic(folders, name):
    model = onnx.load(folders[name] / "model.onnx")
    manifest = json.loads((folders[name] / "model.json").read_text())
    per_layout = {"padded": 2, "padded-column": 2, "mask": 2}
    for tensor, spec in zip(model.graph.input, manifest["inputs"], strict=True):
        assert tensor.name == spec["name"]
        dims = tensor.type.tensor_type.shape.dim
        assert all(dim.dim_param for dim in dims[: per_layout.get(spec["layout"], 1)]), f"{tensor.name} is fixed"


@every_model
def test_nustream_accepts_the_folder(folders, node, name):
    verified = run_node(node, ["src/cli/main.ts", "models", "verify", str(folders[name])])
    assert verified.returncode == 0, verified.stderr


@every_model
def test_the_folder_in_the_repository_is_this_one(folders, name):
    committed, made = COMMITTED[name], folders[name]
    assert json.loads((committed / "model.json").read_text()) == json.loads((made / "model.json").read_text())
    weights = [
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path / "model.onnx").graph.initializer}
        for path in (committed, made)
    ]
    assert weights[0].keys() == weights[1].keys()
    for tensor, values in weights[0].items():
        np.testing.assert_allclose(values, weights[1][tensor], rtol=1e-5, atol=1e-7)


def rounded(content: bytes) -> object:
    return json.loads(content, parse_float=lambda text: f"{float(text):.4f}")


def test_the_same_seed_gives_the_same_folder(folders, tmp_path):
    """The folder of the fixture was made by another process."""
    for seed in ("7", "8"):
        assert export.main(["example", "flat-lengths", "--seed", seed, "--out", str(tmp_path / seed)]) == 0
    for file in ("model.onnx", "model.json", "parity.json"):
        first, again, other = (
            (folder / file).read_bytes() for folder in (folders["flat-lengths"], tmp_path / "7", tmp_path / "8")
        )
        assert other != first
        # Answers may differ in the last digit: sums depend on where torch's memory happens to begin.
        if file == "parity.json":
            first, again = rounded(first), rounded(again)
        assert again == first


@every_model
def test_the_network_tells_nothing_of_where_it_was_made(folders, name):
    content = (folders[name] / "model.onnx").read_bytes()
    assert not re.search(rb"stack_trace|\.py\b|/home|/tmp|/root|/work", content)


def test_a_transformer_that_cannot_be_is_refused(tmp_path, capsys):
    command = ["random-transformer", "--dim", "64", "--heads", "5", "--out", str(tmp_path)]
    assert export.main(command) == 1
    assert "dim 64 does not split into 5 heads" in capsys.readouterr().err


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        export.main(["--help"])
    assert "python -m nustream_training.export linefit --out" in capsys.readouterr().out


def test_the_transformer_has_the_operators_that_are_fast(folders):
    nodes = onnx.load(folders["transformer-d64x4"] / "model.onnx").graph.node
    count = {kind: sum(node.op_type == kind for node in nodes) for kind in {node.op_type for node in nodes}}
    assert count["MultiHeadAttention"] == 4
    # Embedding, six per layer, head: every linear layer is one Gemm with its bias inside.
    assert count["Gemm"] == 26
    assert not count.keys() & {"Softmax", "Transpose", "SkipLayerNormalization", "Expand", "Where"}


def test_a_broken_form_is_caught_before_it_is_written(tmp_path):
    """A module that feels its padding does not become a folder."""

    class FeelsPadding(raw_mask.RawMask):
        def forward(self, pulses, padding):
            return self.head(self.norm(self.embed(pulses)).mean(1)) + 0 * padding.sum()

    manifest: Manifest = raw_mask.build()[1]
    with pytest.raises(ExportError, match="rad apart at event"):
        write_folder(tmp_path, FeelsPadding(), manifest)
    assert not (tmp_path / "model.json").exists()
