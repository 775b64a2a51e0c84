"""Published state_dicts become folders, and what is no such state_dict is refused by the names of its keys."""

import json
import re

import pytest
import torch

from nustream_training import convert, icemix_state
from nustream_training.icemix import IceMix
from nustream_training.icemix_sizes import ENSEMBLE, VARIANTS, IceMixConfig
from nustream_training.icemix_state import StateError, load, parse_sizes, read_state, recognise, unwrap

SMALL = IceMixConfig(dim=32, base=16, depth=2, head=16)
GRAPH = IceMixConfig(dim=32, base=16, depth=2, head=16, n_rel=4, first_graph="xyzt")


def state_of(config: IceMixConfig) -> dict:
    return IceMix(config).state_dict()


def shapes_of(config: IceMixConfig) -> dict:
    with torch.device("meta"):
        return IceMix(config).state_dict()


def test_keys_and_shapes_are_the_published_ones():
    """The table of the published description, for T and V22."""
    shapes = {key: tuple(value.shape) for key, value in shapes_of(VARIANTS["t"]).items()}
    block = {
        "norm1.weight": (192,),
        "norm1.bias": (192,),
        "norm2.weight": (192,),
        "norm2.bias": (192,),
        "mlp.fc1.weight": (768, 192),
        "mlp.fc1.bias": (768,),
        "mlp.fc2.weight": (192, 768),
        "mlp.fc2.bias": (192,),
    }
    relation = {f"attn.proj_{name}.weight": (192, 192) for name in "qkv"}
    relation |= {"attn.proj.weight": (192, 192), "attn.proj.bias": (192,)}
    attention = {
        "attn.in_proj_weight": (576, 192),
        "attn.in_proj_bias": (576,),
        "attn.out_proj.weight": (192, 192),
        "attn.out_proj.bias": (192,),
        "gamma_1": (192,),
        "gamma_2": (192,),
    }
    extractor = {
        "extractor.aux_emb.weight": (2, 48),
        "extractor.proj.0.weight": (576, 576),
        "extractor.proj.0.bias": (576,),
        "extractor.proj.1.weight": (576,),
        "extractor.proj.1.bias": (576,),
        "extractor.proj.3.weight": (192, 576),
        "extractor.proj.3.bias": (192,),
    }
    assert shapes == {
        **extractor,
        "rel_pos.proj.weight": (32, 32),
        "rel_pos.proj.bias": (32,),
        **{f"sandwich.{i}.{key}": shape for i in range(4) for key, shape in (block | relation).items()},
        "cls_token.weight": (1, 192),
        **{f"blocks.{i}.{key}": shape for i in range(12) for key, shape in (block | attention).items()},
        "proj_out.weight": (3, 192),
        "proj_out.bias": (3,),
    }
    graph = {key: tuple(value.shape) for key, value in shapes_of(VARIANTS["v22"]).items()}
    for name in ("pos", "emb_charge", "time", "emb2"):
        assert graph[f"extractor.{name}.scale"] == (1,)
    assert graph["extractor.proj.3.weight"] == (192, 768)
    assert graph["local_root._conv_layers.0.nn.0.weight"] == (128, 46)
    assert graph["local_root._conv_layers.0.nn.3.weight"] == (256, 128)
    assert graph["local_root._conv_layers.3.nn.0.weight"] == (336, 512)
    assert graph["local_root._conv_layers.3.nn.4.bias"] == (256,)
    assert graph["local_root._post_processing.0.weight"] == (336, 1047)
    assert graph["local_root._post_processing.3.weight"] == (192, 336)
    assert graph["local_root._readout.0.weight"] == (128, 192)
    assert graph["local_root._readout.1.weight"] == (128,)
    kinds = {re.sub(r"\.\d+\.", ".N.", key).split(".")[0] for key in graph}
    assert kinds == {"extractor", "rel_pos", "local_root", "sandwich", "cls_token", "blocks", "proj_out"}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_known_by_its_shapes(name):
    state = shapes_of(VARIANTS[name])
    published = next((member.file for member in ENSEMBLE if member.variant == name), "mine")
    assert recognise(state, "a file", file=published).name == name


def test_shapes_of_two_variants_need_a_word():
    state = shapes_of(VARIANTS["b-d32-4rel"])
    with pytest.raises(StateError, match=r"can be b-d32 or b-d32-4rel: .* --variant"):
        recognise(state, "mine.pth", file="mine")
    assert recognise(state, "mine.pth", "b-d32-4rel").config.n_rel == 4
    assert recognise(state, "B-d32-4rel.pth", file="B-d32-4rel").config.n_rel == 4
    assert recognise(state, "b-d32.pth", file="b-d32").config.n_rel == 1


def test_other_sizes_are_told_with_what_to_say():
    state = state_of(SMALL)
    with pytest.raises(StateError, match="--sizes dim=32,base=16,depth=2,head=16,n_rel=1"):
        recognise(state, "mine.pth")
    assert parse_sizes("dim=32,base=16,depth=2,head=16,n_rel=4,first_graph=xyzt") == GRAPH
    with pytest.raises(ValueError, match="lacks base, head"):
        parse_sizes("dim=32,depth=2")
    with pytest.raises(ValueError, match="'width=3' in 'width=3' is not"):
        parse_sizes("width=3")


def test_a_file_without_its_last_block_is_told_what_it_misses():
    state = {key: value for key, value in shapes_of(VARIANTS["t"]).items() if not key.startswith("blocks.11.")}
    found = recognise(state, "cut.pth")
    with pytest.raises(StateError, match=r"cut.pth .* missing blocks\.11\.gamma_1, .* and \d+ more"):
        load(state, found.config, "cut.pth")


def test_every_key_that_does_not_fit_is_named():
    state = state_of(SMALL)
    del state["proj_out.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["rel_pos.proj.weight"] = torch.zeros(16, 8)
    with pytest.raises(StateError) as error:
        load(state, SMALL, "mine.pth")
    text = str(error.value)
    assert "missing proj_out.bias" in text
    assert "unknown extra.weight" in text
    assert "misshaped rel_pos.proj.weight is [16, 8], must be [16, 16]" in text
    with pytest.raises(StateError, match=r"missing extractor\.pos\.scale, .*local_root"):
        load(state_of(SMALL), GRAPH, "mine.pth")


def test_wrappers_prefixes_and_half_precision_are_undone():
    state = state_of(SMALL)
    wrapped = {"model": {f"module.{key}": value.half() for key, value in state.items()}, "opt": {"lr": 1}}
    got = unwrap(wrapped, "mine.pth")
    assert got.keys() == state.keys()
    assert all(value.dtype == torch.float32 for value in got.values())
    assert unwrap({"state_dict": state}, "mine.pth").keys() == state.keys()
    assert unwrap({"epoch": torch.tensor(3), "model": {"state_dict": state}}, "mine.pth").keys() == state.keys()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds list, not a state_dict"),
        ({}, "holds dict, not a state_dict"),
        ({"epoch": 3}, "no tensors under epoch"),
        ({"a.weight": torch.tensor([1.0, float("nan")])}, "NaN or infinity in a.weight"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "mine.pth")
    with pytest.raises(StateError, match=message):
        read_state(tmp_path / "mine.pth")


class RunsCode:
    def __reduce__(self):
        return (print, ("code of the file ran",))


def test_code_in_a_file_is_never_run(tmp_path, capsys):
    torch.save({"model": RunsCode()}, tmp_path / "mine.pth")
    assert convert.main([str(tmp_path / "mine.pth"), "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "without running code from the file" in printed.err
    assert "code of the file ran" not in printed.out + printed.err


def test_files_that_torch_cannot_read_are_told_in_one_line(tmp_path, capsys):
    (tmp_path / "text.pth").write_text("not a checkpoint")
    torch.save(state_of(SMALL), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:9000])
    reasons = {"text.pth": "was not written by torch.save", "cut.pth": "download it again", "none.pth": "No such file"}
    for name, reason in reasons.items():
        assert convert.main([str(tmp_path / name), "--out", str(tmp_path / "out")]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert name in error
        assert reason in error
        assert error.count("\n") == 1


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A download with the published file names, of small networks; folders are written without their networks."""
    small = {name: IceMixConfig(32, 16, 2, 16, c.n_rel, first_graph=c.first_graph) for name, c in VARIANTS.items()}
    monkeypatch.setattr(icemix_state, "VARIANTS", small)
    written = {}

    def write_folder(folder, module, manifest, *_):
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps(manifest))
        written[folder.name] = module

    monkeypatch.setattr(convert, "write_folder", write_folder)
    weights = tmp_path / "ice-cube-final-models"
    weights.mkdir()
    for member in ENSEMBLE:
        torch.save({"model": state_of(small[member.variant])}, weights / f"{member.file}.pth")
    return weights, written


def test_a_folder_becomes_five_models_and_their_ensemble(published, tmp_path):
    weights, written = published
    # Small sizes of plain variants are all alike, so that the names of the files tell them apart.
    for name in ("t", "s", "s-depth8"):
        del icemix_state.VARIANTS[name]
    assert convert.main([str(weights), "--out", str(tmp_path / "icemix"), "--pulses-max", "512"]) == 0
    ensemble = json.loads((tmp_path / "icemix" / "icemix" / "model.json").read_text())
    assert [(member["folder"], member["weight"]) for member in ensemble["members"]] == [
        ("../icemix-b-d32", 0.08255),
        ("../icemix-b-d64", 0.15351),
        ("../icemix-b-d32-4rel", 0.19367),
        ("../icemix-v22", 0.23597),
        ("../icemix-v23", 0.3343),
    ]
    assert ensemble["formatVersion"] == 1
    assert ensemble["training"] == {"dataDigest": None}
    assert ensemble["clip"] == 1000
    assert {name: module.config.n_rel for name, module in written.items()} == {
        "icemix-b-d32": 1,
        "icemix-b-d64": 1,
        "icemix-b-d32-4rel": 4,
        "icemix-v22": 1,
        "icemix-v23": 4,
    }
    assert [written[f"icemix-{name}"].config.first_graph for name in ("b-d32", "v22", "v23")] == [None, "xyz", "xyzt"]
    manifest = json.loads((tmp_path / "icemix" / "icemix-v22" / "model.json").read_text())
    assert manifest["pulses"] == {"max": 512, "prefer": "hlc", "by": "spread", "order": "time"}
    assert manifest["output"]["axes"] == ["y", "x", "z"]
    assert manifest["version"] == "V22FT6_1"


def test_a_folder_without_one_of_the_five_is_refused_before_work_begins(published, tmp_path, capsys):
    weights, written = published
    (weights / "V22FT6_1.pth").unlink()
    assert convert.main([str(weights), "--out", str(tmp_path / "icemix")]) == 1
    assert "has no V22FT6_1.pth (v22)" in capsys.readouterr().err
    assert written == {}


def test_a_file_that_is_there_twice_is_refused(published, tmp_path, capsys):
    weights, written = published
    (weights / "old").mkdir()
    (weights / "old" / "V22FT6_1.pth").write_bytes(b"")
    assert convert.main([str(weights), "--out", str(tmp_path / "icemix")]) == 1
    assert "V22FT6_1 exists 2 times" in capsys.readouterr().err
    assert written == {}


def test_weights_sum_to_one():
    assert sum(member.weight for member in ENSEMBLE) == pytest.approx(1, abs=1e-12)


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        convert.main(["--help"])
    assert "python -m nustream_training.convert ice-cube-final-models --out" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "5000"])
def test_a_cap_that_cannot_be_is_wrong_usage(tmp_path, wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        convert.main(["mine.pth", "--out", str(tmp_path), "--pulses-max", wrong])
    assert "is not a whole number from 1 to 4096" in capsys.readouterr().err
