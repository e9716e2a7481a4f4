"""The networks that REST is compared with: sizes, learning, and what is special to each."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY
from ranvier.networks import make_network
from ranvier.networks.dcrnn import DCRNN

COUNTS = {"cnn_lstm": 5_976_033, "dcrnn": 280_769, "transformer": 48_401}
"""Weights at 19 nodes and the default sizes."""

FORMS = {
    "CNN-LSTM": ("cnn_lstm", {"filters": 4, "dense": 16, "hidden": 12}),
    "CNN-LSTM with ReLU": ("cnn_lstm", {"filters": 4, "dense": 16, "activation": "relu"}),
    "DCRNN": ("dcrnn", {"hidden": 12}),
    "DCRNN forward": ("dcrnn", {"hidden": 12, "directions": "forward", "layers": 1}),
    "Transformer": ("transformer", {"hidden": 16, "dropout": 0.0}),
}
"""Small enough to learn within seconds."""

SMALL = {"features": 8, "window": 5}


def make(name, channels=DOUBLE_BANANA, **options):
    torch.manual_seed(0)
    return make_network(name, channels, options)


def two_classes():
    """64 windows of noise; in every other one some features rise in half of the nodes."""
    windows, labels = torch.randn(64, 5, 18, 8), torch.arange(64) % 2
    rise = torch.linspace(0, 2, 5)[:, None, None] * labels[:, None, None, None]
    windows[:, :, :9, :4] += rise
    return windows, labels.float()


def answers(network, windows):
    logits, _, _ = network(windows, network.initial_state(len(windows)))
    return logits[:, -1, 0, 0]


def learn(network, windows, labels, *, most=200):
    adam = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(most):
        loss = functional.binary_cross_entropy_with_logits(answers(network, windows), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        if loss < 0.01:
            return


@pytest.mark.parametrize("form", FORMS)
def test_each_learns_to_tell_two_classes(form):
    name, options = FORMS[form]
    network, (windows, labels) = make(name, **SMALL, **options), two_classes()
    learn(network, windows, labels)
    with torch.inference_mode():
        told = answers(network.eval(), windows) > 0
    assert (told == labels.bool()).float().mean() >= 0.98


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_every_weight(form):
    name, options = FORMS[form]
    network, (windows, _) = make(name, **SMALL, **options), two_classes()
    answers(network, windows).square().sum().backward()
    silent = [n for n, weight in network.named_parameters() if not weight.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("name", COUNTS)
def test_the_number_of_weights_is_as_stated(name):
    network = make(name, TEN_TWENTY)
    assert sum(weight.numel() for weight in network.parameters()) == COUNTS[name]
    assert f"{COUNTS[name]:,} weights" in type(network).__doc__


@pytest.mark.parametrize("name", COUNTS)
def test_from_the_twelfth_second_on_each_second_has_an_answer(name):
    network = make(name, classes=4).eval()
    with torch.inference_mode():
        logits, _ = network.step(torch.randn(2, 14, 18, 100), network.initial_state(2))
    assert logits.shape == (2, 3, 1, 4)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cnn_lstm", {"activation": "gelu"}, "Invalid activation: 'gelu', possible options"),
        ("cnn_lstm", {"features": 5}, "Invalid features: 5, must be at least 6"),
        ("cnn_lstm", {"layers": 0}, "Invalid layers: 0, must be at least 1"),
        ("dcrnn", {"directions": "back"}, "Invalid directions: 'back', possible options"),
        ("dcrnn", {"hops": 0}, "Invalid hops: 0, must be at least 1"),
        ("dcrnn", {"adjacency": np.eye(3)}, "Invalid adjacency: shape"),
        ("dcrnn", {"adjacency": -np.eye(18)}, "Invalid adjacency: -1.0, no weight may be below 0"),
        ("transformer", {"heads": 3}, "Invalid heads: 3, must divide 20"),
        ("transformer", {"dropout": 1.0}, "Invalid dropout: 1.0, must be at least 0"),
        ("transformer", {"widening": 0}, "Invalid widening: 0, must be at least 1"),
        ("transformer", {"hop": 13}, "Invalid window, hop, least or context: 12, 13, 12 and 0"),
    ],
)
def test_options_that_are_not_allowed_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


def test_too_few_nodes_for_the_convolutions_are_refused():
    with pytest.raises(ValueError, match="Invalid channels: 5, must be at least 6"):
        make("cnn_lstm", DOUBLE_BANANA[:5])


def test_walks_bring_shares_that_sum_to_one_to_every_node():
    walks = DCRNN(TEN_TWENTY, hops=3).walks.view(19, 7, 19)
    torch.testing.assert_close(walks.sum(dim=2), torch.ones(19, 7))
    torch.testing.assert_close(walks[:, 0], torch.eye(19))
    torch.testing.assert_close(walks[:, 2], walks[:, 1] @ walks[:, 1])


def test_walks_go_along_the_edges_and_against_them():
    graph = np.zeros((6, 6))
    graph[0, 1] = graph[1, 2] = 2.0
    walks = DCRNN(TEN_TWENTY[:6], adjacency=graph).walks.view(6, 5, 6)
    reached = {walk: walks[:, walk].nonzero().tolist() for walk in range(1, 5)}
    assert reached == {1: [[0, 1], [1, 2]], 2: [[0, 2]], 3: [[1, 0], [2, 1]], 4: [[2, 0]]}


def test_on_a_symmetric_graph_walks_there_and_back_are_the_same():
    both, forward = (DCRNN(TEN_TWENTY, directions=d).walks for d in ("both", "forward"))
    torch.testing.assert_close(both.view(19, 5, 19)[:, :3], forward.view(19, 3, 19))
    torch.testing.assert_close(both.view(19, 5, 19)[:, 3:], forward.view(19, 3, 19)[:, 1:])


def test_where_nothing_is_linked_the_first_step_is_that_of_a_plain_gru():
    torch.manual_seed(0)
    network = DCRNN(TEN_TWENTY, adjacency=np.zeros((19, 19)), hidden=6, layers=1).eval()
    layer, plain = network.layers[0], torch.nn.GRUCell(100, 6)
    own = [w.weight.view(len(w.weight), 5, -1)[:, 0] for w in (layer.enter, layer.gates)]
    features, state = torch.randn(2, 1, 19, 100), torch.zeros(2 * 19, 6)
    with torch.no_grad():
        plain.weight_ih.copy_(own[0])
        plain.weight_hh[:12] = own[1]
        plain.bias_ih.copy_(layer.enter.bias)
        plain.bias_hh.zero_()
        expected = plain(features.flatten(0, 2), state)
        found = layer(features, network.walks).flatten(0, 2)
    torch.testing.assert_close(found, expected)


def test_the_largest_node_answers():
    network = make("dcrnn", TEN_TWENTY).eval()
    windows, order = torch.randn(2, 12, 19, 100), torch.randperm(19)
    network.walks = make("dcrnn", TEN_TWENTY, adjacency=np.zeros((19, 19))).walks
    with torch.inference_mode():
        torch.testing.assert_close(network.embed(windows), network.embed(windows[:, :, order]))


def test_windows_of_a_batch_do_not_know_each_other():
    network = make("cnn_lstm", filters=4, dense=16, hidden=12).eval()
    windows = torch.randn(3, 12, 18, 100)
    with torch.inference_mode():
        torch.testing.assert_close(network.embed(windows)[1:], network.embed(windows[1:]))


def test_layers_of_the_transformer_start_with_weights_of_their_own():
    first, second = make("transformer").layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)
