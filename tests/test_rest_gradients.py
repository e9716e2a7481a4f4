"""The backward pass of REST, written by hand, against that of autograd."""

import pytest
import torch

from ranvier.channels import TEN_TWENTY
from ranvier.networks import rest
from ranvier.networks.rest import REST
from ranvier.networks.rest_gradients import Recurrence
from ranvier.networks.rest_masks import draw_masks
from ranvier.networks.rest_update import Step

BATCH, WIDTH, NODES, HIDDEN, STEPS = 2, 2, 3, 2, 3
SHAPES = {
    "entering": (BATCH, STEPS + WIDTH - 1, NODES, HIDDEN),
    "memory": (BATCH * WIDTH, NODES, HIDDEN),
    "recur": (HIDDEN, HIDDEN),
    "recur_bias": (HIDDEN,),
    "first": (HIDDEN, 2 * HIDDEN),
    "second": (HIDDEN, 2 * HIDDEN),
    "bias": (HIDDEN,),
    "kept_bias": (2 * HIDDEN,),
}


def steps_of(rows):
    """One update, two with a bias that comes later, and one with random masks before a gap."""
    mask = torch.randint(0, 2, (rows, NODES, HIDDEN)).double()
    goes = torch.arange(rows).double().clamp(max=1).view(-1, 1, 1)
    late = torch.tensor([0.0, 1.0]).double().view(-1, 1, 1, 1)
    return [Step([0.5], (-1.0, None), None), Step([0.5, mask], (None, late), None),
            Step([mask], (None, None), goes)]  # fmt: skip


@pytest.mark.parametrize("longest", [0.5, torch.inf])
def test_the_gradients_are_those_of_small_differences(longest):
    torch.manual_seed(0)
    graph = torch.rand(NODES, 2 * NODES).double()
    graph[:, 1::2] = torch.eye(NODES)
    given = [torch.randn(shape).double().requires_grad_() for shape in SHAPES.values()]
    steps = steps_of(BATCH * WIDTH)
    follow = lambda *parts: Recurrence.apply(steps, WIDTH, longest, *parts, graph)  # noqa: E731
    assert torch.autograd.gradcheck(follow, given)


def learnt(network, features):
    """Return the logits, and all gradients of one step of training."""
    network.zero_grad()
    draw = torch.Generator().manual_seed(0)
    logits, _, _ = network(features, network.initial_state(len(features)), draw)
    logits.nan_to_num().square().sum().backward()
    return [logits, *(weight.grad.clone() for weight in network.parameters())]


@pytest.mark.parametrize("memory", ["carry", "clip"])
@pytest.mark.parametrize("options", [{}, {"bound": 0.5}, {"repeats": (1, 3), "bound": torch.inf}])
def test_training_is_as_with_autograd(memory, options, monkeypatch):
    torch.manual_seed(0)
    network = REST(TEN_TWENTY, memory=memory, clip=4, warm_up=0, **options).double()
    features = torch.randn(3, 9, 19, 100).double()
    features[1, 3] = features[2, 5, 4] = torch.nan
    found = learnt(network, features)
    monkeypatch.setattr(rest, "_learning_in_full", lambda _: False)
    for ours, plain in zip(found, learnt(network, features), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-9, equal_nan=True)


def test_gradients_go_on_through_a_state_that_is_handed_on():
    network = REST(TEN_TWENTY, warm_up=0)
    early, late = torch.randn(2, 1, 4, 19, 100).requires_grad_()
    _, state, _ = network(early, network.initial_state(1), torch.Generator())
    logits, _, _ = network(late, state, torch.Generator())
    (gradient,) = torch.autograd.grad(logits.sum(), early)
    assert gradient.abs().sum() > 0


def test_mixed_precision_trains_too():
    network = REST(TEN_TWENTY)
    with torch.autocast("cpu", torch.bfloat16):
        found = learnt(network, torch.randn(2, 6, 19, 100))
    assert all(gradient.isfinite().all() for gradient in found[1:])


def test_there_are_as_many_masks_as_updates():
    generator = torch.Generator().manual_seed(0)
    counts = {len(draw_masks((2, 3), 0.5, (2, 4), generator)) for _ in range(40)}
    assert counts == {2, 3, 4}
