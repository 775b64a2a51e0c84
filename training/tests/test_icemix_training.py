"""IceMix from scratch: any event that nustream makes tensors of, all parameters learn, x stays x."""

import pytest
import torch

from nustream_training.events import draw_events
from nustream_training.features import build_tensors
from nustream_training.icemix import draw_all
from nustream_training.icemix_sizes import IceMixConfig
from nustream_training.icemix_training import SIZES, PulsesIceMix, training_manifest

SMALL = {
    "plain": IceMixConfig(dim=32, base=16, depth=2, head=16),
    "graph": IceMixConfig(dim=32, base=16, depth=1, head=16, n_rel=4, first_graph="xyz"),
}


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    tensors = build_tensors(draw_events(seed=4, lengths=(1, 12, 30)), training_manifest("t", SIZES["t"]))
    return tuple(torch.from_numpy(values) for values in tensors.values())


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name):
    torch.manual_seed(1)
    model = PulsesIceMix(SMALL[name])
    model(*batch()).square().sum().backward()
    still = {key for key, parameter in model.named_parameters() if parameter.grad is None}
    # The readout is published with the weights and answers nothing; a network without a graph has none.
    assert all("_readout" in key for key in still)
    assert bool(still) == (name == "graph")
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_answers_are_x_y_z():
    torch.manual_seed(1)
    model = PulsesIceMix(SMALL["plain"]).eval()
    draw_all(model)
    with torch.no_grad():
        # Of the network, which answers y first, the first component is the model's second.
        model.network.proj_out.bias.copy_(torch.tensor([100.0, 0.0, 0.0]))
        model.network.proj_out.weight.zero_()
        assert model(*batch()).tolist() == [[0.0, 100.0, 0.0]] * 3


def test_sizes_are_the_published_ones():
    assert {size: config.dim for size, config in SIZES.items()} == {
        "t": 192,
        "s": 384,
        "b": 768,
        "v22": 384,
        "v23": 768,
    }
