"""Ones and zeros at random, and dropout made of them."""

import pytest
import torch

from ranvier.networks.chance import Dropout, draw_ones


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_there_are_as_many_ones_as_asked_for(share):
    ones = draw_ones((100, 1001), share, generator=torch.Generator().manual_seed(0))
    assert set(ones.unique().tolist()) <= {0.0, 1.0}
    assert ones.mean().item() == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_keeps_the_mean_and_the_layout(layout):
    torch.manual_seed(0)
    values = torch.ones(20, 30, 5, 40).contiguous(memory_format=layout)
    found = Dropout(0.2)(values)
    assert sorted(found.unique().tolist()) == pytest.approx([0.0, 1.25])
    assert found.mean().item() == pytest.approx(1.0, abs=0.01)
    assert found.stride() == values.stride()


def test_dropout_draws_each_value_anew_even_where_one_is_spread():
    found = Dropout(0.5)(torch.ones(1, 1).expand(100, 100))
    assert 0 < found.mean(dim=0).min() < found.mean(dim=0).max() < 2


def test_gradients_go_where_values_were_kept():
    values = torch.ones(1000, requires_grad=True)
    found = Dropout(0.5)(values)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())


def test_dropout_is_drawn_from_torchs_seed():
    values, draws = torch.ones(1000), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(Dropout(0.5)(values))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_dropout_of_nothing_or_all_is_that_of_torch(share):
    assert torch.equal(Dropout(share)(torch.ones(9)), torch.full((9,), 1 - share))


def test_nothing_is_left_out_when_nothing_is_learnt():
    values = torch.randn(10, 10)
    assert torch.equal(Dropout(0.5).eval()(values), values)
