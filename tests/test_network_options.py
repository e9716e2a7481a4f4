"""What holds for the options of every network: each refusal is one sentence."""

from typing import Any

import pytest
import torch
from small_networks import SMALL

from ranvier.channels import DOUBLE_BANANA
from ranvier.networks import make_network


def make(name: str, **more: Any) -> Any:
    small = SMALL[name]
    return make_network(small.network, small.channels, {**small.settings, **more})


def takes(name: str, **settings: Any) -> bool:
    try:
        make(name, **settings)
    except ValueError:
        return False
    return True


every_form = pytest.mark.parametrize("name", SMALL)
DROPOUTS = ("dropout", "attention_dropout", "stochastic_depth")
WHOLE = {"hop": 2.5, "window": 12.5, "context": 2.5, "least": 2.5, "clip": 2.5, "lag": 1.5}


@pytest.mark.parametrize("option", [*WHOLE, "segment", "warm_up"])
@every_form
def test_what_is_counted_is_a_whole_number(name, option):
    fraction = WHOLE.get(option, 2.5)
    if option in SMALL[name].settings or takes(name, **{option: 2}):
        with pytest.raises(ValueError, match="Invalid") as refused:
            make(name, **{option: fraction})
        assert "unexpected keyword" not in str(refused.value)


@pytest.mark.parametrize("option", DROPOUTS)
@every_form
def test_what_is_dropped_is_a_share(name, option):
    if not takes(name, **{option: 0.0}):
        return
    for value in (float("nan"), -0.5, 1.0):
        with pytest.raises(ValueError, match=f"Invalid {option}: {value}, must be at least 0"):
            make(name, **{option: value})


def test_a_network_that_memory_does_not_hold_is_one_sentence():
    with pytest.raises(ValueError, match=r"Invalid settings of network 'lstm': .*memory"):
        make_network("lstm", DOUBLE_BANANA, {"hidden": 10_000_000})


@pytest.mark.parametrize("name", ["LSTM", "AttnSleep"])
def test_one_window_is_learnt_from_unless_there_is_a_norm_over_the_batch(name):
    network = make(name)
    if SMALL[name].network == "attn_sleep":
        network = make_network("attn_sleep", ("Fpz-Cz",), SMALL[name].settings)
    signal = torch.randn(1, network.window, len(network.channels))
    logits, _, _ = network.train()(signal, network.initial_state(1))
    assert logits.isfinite().all() == (name == "LSTM")
