"""The backward pass of ARNN's attention, written by hand, against that of autograd."""

import pytest
import torch

from ranvier.networks import arnn_cell, make_network
from ranvier.networks.arnn_gradients import Attention


def test_the_gradients_are_those_of_small_differences():
    torch.manual_seed(0)
    queries, keys, values = torch.randn(2, 3, 5), torch.randn(2, 3, 4), torch.randn(2, 7, 4)
    given = [part.double().requires_grad_() for part in (queries, keys, values)]
    assert torch.autograd.gradcheck(Attention.apply, given)


def learnt(network, windows):
    """Return the logits, and all gradients of one step of training."""
    network.zero_grad()
    logits, _, _ = network(windows, network.initial_state(len(windows)))
    logits.nan_to_num().square().sum().backward()
    found = [weight.grad for weight in network.parameters() if weight.requires_grad]
    return [logits, *(gradient.clone() for gradient in found)]


@pytest.mark.parametrize("options", [{"window": 48}, {"memory": "carry", "warm_up": 0}])
def test_training_is_as_with_autograd(options, monkeypatch):
    torch.manual_seed(0)
    channels = tuple("abcd")
    network = make_network("arnn", channels, {"segment": 16, "dropout": 0.0, **options}).double()
    windows = torch.randn(3, 48, 4).double()
    found = learnt(network, windows)
    monkeypatch.setattr(arnn_cell, "_learning_in_full", lambda _: False)
    for ours, plain in zip(found, learnt(network, windows), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-12)


def test_mixed_precision_trains_too():
    network = make_network("arnn", tuple("abcd"), {"segment": 16, "window": 48})
    with torch.autocast("cpu", torch.bfloat16):
        found = learnt(network, torch.randn(2, 48, 4))
    assert all(gradient.isfinite().all() for gradient in found[1:])
