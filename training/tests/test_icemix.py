"""IceMix: the fast forms answer as the published description says, alone and in company, drawn weights included."""

import numpy as np
import pytest
import torch
from icemix_reference import answer

from nustream_training.events import draw_events
from nustream_training.features import build_tensors
from nustream_training.icemix import IceMix, draw_all
from nustream_training.icemix_graph import nearest
from nustream_training.icemix_manifest import icemix_manifest
from nustream_training.icemix_sizes import VARIANTS, IceMixConfig

SMALL = {
    "plain": IceMixConfig(dim=32, base=16, depth=2, head=16),
    "4rel": IceMixConfig(dim=32, base=16, depth=2, head=8, n_rel=4),
    "xyz": IceMixConfig(dim=32, base=16, depth=2, head=16, first_graph="xyz"),
    "xyzt": IceMixConfig(dim=32, base=16, depth=2, head=16, n_rel=4, first_graph="xyzt"),
}
every_small = pytest.mark.parametrize("name", SMALL)


def small_manifest(name: str, pulses_max: int = 192) -> dict:
    texts = {"version": "1", "description": "Random weights", "licence": "Apache-2.0", "origin": "a test"}
    return icemix_manifest(SMALL[name], name=f"icemix-{name}", pulses_max=pulses_max, **texts)


def drawn(config: IceMixConfig, seed: int = 1) -> IceMix:
    torch.manual_seed(seed)
    module = IceMix(config).eval()
    draw_all(module)
    return module


def ask(module: IceMix, name: str, events: list) -> np.ndarray:
    tensors = build_tensors(events, small_manifest(name))
    with torch.no_grad():
        return module(*(torch.from_numpy(values) for values in tensors.values())).numpy()


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), np.dot(a, b)))


@every_small
def test_it_computes_what_the_description_says(name):
    config = SMALL[name]
    module = drawn(config)
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    for event in draw_events(seed=5, lengths=(1, 2, 9, 25)):
        tensors = {key: value[0] for key, value in build_tensors([event], small_manifest(name)).items()}
        tensors["count"] = tensors.pop("pulse_count")
        expected = answer(state, tensors, config.head, config.n_rel, len(config.first_graph or ""))
        got = ask(module, name, [event])[0]
        assert angle(expected, got) < 2e-4, f"{len(event)} pulses: expected {expected}, got {got}"
        assert np.linalg.norm(got) == pytest.approx(np.linalg.norm(expected), rel=1e-3)


@every_small
def test_company_and_padding_change_nothing(name):
    module = drawn(SMALL[name])
    events = draw_events(seed=6, lengths=(1, 2, 5, 40, 191, 192, 300))
    together = ask(module, name, events)
    for event, in_company in zip(events, together, strict=True):
        assert angle(ask(module, name, [event])[0], in_company) < 1e-4


def test_padding_may_hold_anything():
    module = drawn(SMALL["xyzt"])
    tensors = build_tensors(draw_events(seed=6, lengths=(4, 30)), small_manifest("xyzt"))
    other = {key: value.copy() for key, value in tensors.items()}
    for key in ("pos", "charge", "time", "qe", "ice_properties"):
        other[key][0, 4:] = 0.37
    with torch.no_grad():
        first, second = (
            module(*(torch.from_numpy(values) for values in each.values())).numpy() for each in (tensors, other)
        )
    np.testing.assert_array_equal(first, second)


def test_parameters_are_as_many_as_published():
    published = {
        "t": 7_566_339,
        "s": 29_286_179,
        "s-depth8": 22_185_251,
        "b-d32": 115_635_555,
        "b-d64": 115_638_659,
        "b-d32-4rel": 115_635_555,
        "v22": 23_299_735,
        "v23": 116_547_703,
    }
    with torch.device("meta"):
        counted = {name: sum(p.numel() for p in IceMix(config).parameters()) for name, config in VARIANTS.items()}
    assert counted == published


def test_neighbours_are_the_nine_nearest_without_the_pulse_itself():
    # Eleven pulses on one sensor, then two on others.
    points = torch.zeros(1, 13, 3)
    points[0, 11, 0], points[0, 12, 0] = 1, 3
    edges = nearest(points, torch.ones(1, 13, dtype=torch.bool))
    rows, exist = edges.rows.reshape(13, 9), edges.exist[0]
    neighbours = [rows[i][exist[i]].tolist() for i in range(13)]
    assert neighbours[0] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert neighbours[8] == [0, 1, 2, 3, 4, 5, 6, 7]
    # The nine nearest of the tenth twin are all before it: it is not among them, and keeps nine.
    assert neighbours[9] == neighbours[10] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert neighbours[11] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert neighbours[12] == [11, 0, 1, 2, 3, 4, 5, 6]


def test_padding_is_no_neighbour():
    points = torch.zeros(2, 4, 3)
    mask = torch.tensor([[True, True, False, False], [True, False, False, False]])
    edges = nearest(points, mask)
    assert edges.exist.sum((1, 2)).tolist() == [2, 0]
    assert edges.rows.reshape(2, 4, 9)[0, 0, 1] == 1
    assert edges.rows.max() < 8


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dim": 30}, "divisible by head"),
        ({"base": 18}, "divisible by 4"),
        ({"head": 5}, "head by 2"),
        ({"n_rel": 5}, "n_rel must be 0 to depth_rel"),
        ({"first_graph": "xy"}, "first_graph must be"),
        ({"depth": 0}, "at least 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        IceMixConfig(**{"dim": 32, "base": 16, "depth": 1, "head": 16, **wrong})
