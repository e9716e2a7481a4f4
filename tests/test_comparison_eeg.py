"""The networks that ARNN is compared with: sizes, learning, and what is special to each."""

import pytest
import torch
from torch.nn import functional

from ranvier.channels import DOUBLE_BANANA
from ranvier.networks import make_network
from ranvier.networks.cct import StochasticDepth

COUNTS = {"lstm": 9_641, "vit": 53_761, "cct": 94_977, "r_transformer": 79_921}
"""Weights at 18 channels and the default sizes."""

FORMS = {
    "LSTM": ("lstm", {"window": 64, "hidden": 12}),
    "LSTM carried": ("lstm", {"memory": "carry", "segment": 16, "hidden": 12}),
    "ViT": ("vit", {"window": 64, "patch": 8, "hidden": 16, "dropout": 0.0}),
    "ViT of means": ("vit", {"window": 64, "patch": 8, "hidden": 16, "pool": "mean"}),
    "CCT": ("cct", {"window": 64, "filters": 8, "hidden": 16}),
    "R-Transformer": ("r_transformer", {"window": 64, "hidden": 12, "kernel": 4}),
}
"""Small enough to learn within seconds."""

FOUR = DOUBLE_BANANA[:4]


def make(name, channels=FOUR, **options):
    torch.manual_seed(0)
    return make_network(name, channels, options)


def two_classes():
    """64 windows of noise, every other one with a rhythm of 6 cycles in half of the channels."""
    draw = torch.Generator().manual_seed(0)
    windows, labels = torch.randn(64, 64, 4, generator=draw), torch.arange(64) % 2
    phase = torch.rand(64, 1, generator=draw) * 2 * torch.pi
    rhythm = 1.5 * torch.sin(torch.arange(64) * 6 * 2 * torch.pi / 64 + phase)
    windows[..., :2] += (rhythm * labels[:, None])[..., None]
    return windows, labels.float()


def answers(network, windows):
    logits, _, _ = network(windows, network.initial_state(len(windows)))
    return logits[:, -1, 0, 0]


def learn(network, windows, labels, *, most=300):
    adam = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(most):
        loss = functional.binary_cross_entropy_with_logits(answers(network, windows), labels)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
        if loss < 0.01:
            return


@pytest.mark.parametrize("form", FORMS)
def test_each_learns_to_tell_two_classes(form):
    name, options = FORMS[form]
    network, (windows, labels) = make(name, **options), two_classes()
    learn(network, windows, labels)
    with torch.inference_mode():
        told = answers(network.eval(), windows) > 0
    assert (told == labels.bool()).float().mean() >= 0.99


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_every_weight(form):
    name, options = FORMS[form]
    network, (windows, _) = make(name, **options), two_classes()
    answers(network, windows).square().sum().backward()
    silent = [n for n, weight in network.named_parameters() if not weight.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("name", COUNTS)
def test_the_number_of_weights_is_as_stated(name):
    network = make(name, DOUBLE_BANANA)
    assert sum(weight.numel() for weight in network.parameters()) == COUNTS[name]
    assert f"{COUNTS[name]:,} weights" in type(network).__doc__


@pytest.mark.parametrize("name", COUNTS)
def test_a_window_of_four_seconds_has_one_answer_for_each_class(name):
    network = make(name, DOUBLE_BANANA, classes=3).eval()
    with torch.inference_mode():
        logits, _ = network.step(torch.randn(2, 1024, 18), network.initial_state(2))
    assert logits.shape == (2, 1, 1, 3)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lstm", {"memory": "carrry"}, "Invalid memory: 'carrry', possible options"),
        ("lstm", {"hidden": 0}, "Invalid hidden: 0, must be at least 1"),
        ("lstm", {"memory": "carry", "layers": 0}, "Invalid layers: 0, must be at least 1"),
        ("lstm", {"memory": "carry", "window": 64}, "Invalid settings of network 'lstm'"),
        ("vit", {"pool": "max"}, "Invalid pool: 'max', possible options"),
        ("vit", {"patch": 15}, "Invalid patch: 15, must divide 1024"),
        ("vit", {"heads": 3}, "Invalid heads: 3, must divide 40"),
        ("vit", {"layers": 0}, "Invalid layers: 0, must be at least 1"),
        ("cct", {"heads": 3}, "Invalid heads: 3, must divide 40"),
        ("cct", {"filters": 0}, "Invalid filters: 0, must be at least 1"),
        ("r_transformer", {"heads": 0}, "Invalid heads: 0, must divide 40"),
        ("r_transformer", {"kernel": 0}, "Invalid kernel: 0, must be at least 1"),
    ],
)
def test_options_that_are_not_allowed_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


def test_both_lstms_have_the_same_weights_and_agree_on_the_first_window():
    window = make("lstm", window=64, hidden=6, layers=2).eval()
    carried = make("lstm", memory="carry", segment=16, hidden=6, layers=2).eval()
    carried.load_state_dict(window.state_dict())
    samples = torch.randn(3, 64, 4)
    with torch.inference_mode():
        torch.testing.assert_close(answers(window, samples), answers(carried, samples))


def test_a_carried_lstm_starts_anew_after_a_gap():
    network = make("lstm", memory="carry", segment=16, hidden=6, warm_up=1).eval()
    samples = torch.randn(1, 96, 4)
    broken = samples.clone()
    broken[:, 40] = torch.nan
    with torch.inference_mode():
        after, _ = network.step(broken, network.initial_state(1))
        fresh, _ = network.step(samples[:, 48:], network.initial_state(1))
    torch.testing.assert_close(after[:, 3:], fresh, equal_nan=True)
    assert after[:, 2:4].isnan().all()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 18])
def test_cct_copes_with_any_number_of_channels(count):
    network = make("cct", DOUBLE_BANANA[:count], window=30, filters=2, hidden=8).eval()
    with torch.inference_mode():
        assert network.embed(torch.randn(2, 30, count)).isfinite().all()


def test_stochastic_depth_leaves_out_whole_rows_in_training_alone():
    torch.manual_seed(0)
    depth, rows = StochasticDepth(0.25), torch.ones(4000, 3, 2)
    spoken = depth(rows).flatten(1)
    assert torch.equal(spoken.amin(dim=1), spoken.amax(dim=1))
    assert spoken.mean() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(depth.eval()(rows), rows)


def test_a_token_of_the_r_transformer_does_not_know_those_after_it():
    network = make("r_transformer", window=32, hidden=8).eval()
    tokens, layer = torch.randn(2, 32, 8), network.layers[0]
    changed = torch.cat([tokens[:, :20], torch.randn(2, 12, 8)], dim=1)
    with torch.inference_mode():
        one, other = layer(tokens, network.future), layer(changed, network.future)
    torch.testing.assert_close(one[:, :20], other[:, :20])
    assert not torch.allclose(one[:, 20:], other[:, 20:])


def test_the_last_token_alone_is_what_it_is_among_all():
    network = make("r_transformer", window=32, hidden=8).eval()
    tokens, layer = torch.randn(2, 32, 8), network.layers[-1]
    with torch.inference_mode():
        alone, among = layer(tokens, None), layer(tokens, network.future)[:, -1:]
    torch.testing.assert_close(alone, among, rtol=0, atol=1e-6)
