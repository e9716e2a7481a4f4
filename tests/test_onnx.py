"""The same answers from ONNX Runtime as from torch, for every network and a long time."""

import pickle

import numpy as np
import pytest
import torch
from small_networks import SMALL, Small

from ranvier.channels import TEN_TWENTY
from ranvier.onnx_export import export
from ranvier.onnx_rewrites import lean
from ranvier.onnx_runtime import Graph, OnnxStage
from ranvier.recording import Array
from ranvier.runtime import NetworkStage
from ranvier.streaming import Stage

CARRIED, APART = 2000, 200
"""Outputs over which a memory is carried, and of windows that know nothing of each other."""

WITHIN = 1e-5
"""Of logits of a magnitude of about 1; a larger share of larger ones."""

IN_GRAPHS = [name for name in SMALL if name != "REST sampled"]


def shaken(small: Small) -> NetworkStage:
    """A network none of whose weights are as they were when its graph was made."""
    stage = small.make()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in stage.network.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.add_(0.1 * noise / max(1, weight[0].numel()) ** 0.5)
    return stage


def both(small: Small) -> tuple[NetworkStage, OnnxStage]:
    stage = shaken(small)
    content = export(stage.network, small.network, small.channels, small.settings)
    return stage, OnnxStage(stage.layout, Graph(lean(content)))


def signal_for(stage: NetworkStage, outputs: int) -> Array:
    """Noise with a long gap, short gaps, and channels that are missing."""
    network, rng = stage.network, np.random.default_rng(3)
    length = network.window + (outputs - 1) * network.hop
    tail = () if network.features is None else (network.features,)
    signal = rng.normal(0.3, 0.7, (1, length, len(network.channels), *tail)).astype(np.float32)
    signal[:, length // 4 : length // 4 + 3 * network.window] = np.nan
    signal[:, length // 2 : length * 3 // 4, 0] = np.nan
    for place in rng.integers(0, length, 10):
        signal[:, place] = np.nan
    return signal


def run(stage: Stage, signal: Array, block: int) -> Array:
    state, found = stage.initial_state(len(signal)), []
    for first in range(0, signal.shape[1], block):
        output, state = stage.step(signal[:, first : first + block], state)
        found.append(output)
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("name", IN_GRAPHS)
def test_it_answers_as_torch_for_a_long_time(name):
    stage, onnx = both(SMALL[name])
    signal = signal_for(stage, CARRIED if onnx.graph.memory else APART)
    expected, found = run(stage, signal, 1000), run(onnx, signal, 1000)
    assert expected.shape == found.shape
    assert 0.2 < np.isfinite(expected).mean() < 1
    scale = max(1.0, np.nanmax(np.abs(expected)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=WITHIN * scale, equal_nan=True)


@pytest.mark.parametrize("name", IN_GRAPHS)
def test_both_say_as_much_of_themselves(name):
    stage, onnx = both(SMALL[name])
    assert onnx.output == stage.output
    assert onnx.warm_up == stage.warm_up
    assert [onnx.outputs(n) for n in range(200)] == [stage.outputs(n) for n in range(200)]


@pytest.mark.parametrize("name", IN_GRAPHS)
def test_what_goes_in_and_out_has_the_same_names_in_every_graph(name):
    import onnx

    small = SMALL[name]
    content = export(small.make().network, small.network, small.channels, small.settings)
    for made in (content, lean(content)):
        graph = Graph(made)
        memory = [f"memory_{i}" for i in range(len(graph.memory))]
        assert graph.inputs == ["chunk", *memory]
        outputs = [one.name for one in graph.session.get_outputs()]
        assert outputs == ["logits", *(f"{one}_after" for one in memory)]
        model = onnx.load_from_string(made)
        domains = {node.domain for node in model.graph.node}
        assert {one.domain for one in model.opset_import} == {"", *domains}


def test_a_window_of_a_batch_knows_nothing_of_the_others():
    stage, onnx = both(SMALL["GRU"])
    signal = np.concatenate([signal_for(stage, 40), 2 * signal_for(stage, 40)])
    np.testing.assert_allclose(run(onnx, signal, 7)[1:], run(onnx, signal[1:], 41), atol=1e-6)


def test_a_graph_is_made_once_for_all_weights():
    small = SMALL["Wiener"]
    one, two = (
        export(stage.network, small.network, small.channels, small.settings)
        for stage in (small.make(), shaken(small))
    )
    assert one != two
    assert len(one) == len(two)


def test_a_graph_says_nothing_of_the_machine_it_was_made_on():
    small = SMALL["Wiener"]
    content = export(small.make().network, small.network, small.channels, small.settings)
    assert b".py" not in content
    assert b"/" + b"ranvier" not in content


def test_making_a_graph_draws_no_random_numbers():
    small = Small("wiener", {"window": 3})
    network = small.make().network
    before = torch.random.get_rng_state()
    export(network, small.network, small.channels, small.settings)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_graph_goes_to_other_processes():
    _, onnx = both(SMALL["Wiener"])
    assert pickle.loads(pickle.dumps(onnx.graph)).facts == onnx.graph.facts


def test_what_is_drawn_at_random_is_no_graph():
    small = SMALL["REST sampled"]
    with pytest.raises(ValueError, match="a graph cannot draw at random"):
        export(small.make().network, small.network, small.channels, small.settings)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 64])
def test_what_is_no_graph_is_refused(content):
    with pytest.raises(ValueError, match="Invalid graph"):
        Graph(content)


def test_a_strange_model_is_refused():
    import onnx

    made = onnx.helper.make_graph([], "empty", [], [])
    content = onnx.helper.make_model(made).SerializeToString()
    with pytest.raises(ValueError, match="Invalid graph"):
        Graph(content)


def test_features_are_not_samples():
    stage = SMALL["REST carried"].make_onnx()
    with pytest.raises(ValueError, match="they give plain samples, the network takes 8 features"):
        stage.step(np.zeros((1, 3, len(stage.layout.channels))), stage.initial_state(1))


def test_the_step_of_rest_in_full_size_is_that_of_torch():
    stage, onnx = both(Small("rest", channels=TEN_TWENTY))
    signal = signal_for(stage, CARRIED)
    np.testing.assert_allclose(run(onnx, signal, 60), run(stage, signal, 60), rtol=0, atol=1e-5)
