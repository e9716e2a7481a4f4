"""REST against the authors' code, and the rules that carrying its state adds."""

import ast
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from ranvier.authors import network_with
from ranvier.authors.rest import TUSZ, answers, read
from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY
from ranvier.features import ScalePerStep
from ranvier.networks.graph import electrode_graph
from ranvier.networks.rest import REST
from ranvier.recording import Layout

FIXTURE = Path(__file__).parents[2] / "shared" / "parity" / "rest.npz"
REFERENCE = Path(__file__).parents[1] / "benchmarks" / "reference" / "rest.py"


@pytest.fixture(scope="module")
def authors():
    if not FIXTURE.exists():
        pytest.skip("the parity fixtures do not lie beside the project")
    with np.load(FIXTURE) as stored:
        return dict(stored)


def weights_of(authors):
    return {name[8:]: values for name, values in authors.items() if name.startswith("weights/")}


def imported(authors, **config):
    return read(weights_of(authors), {**ast.literal_eval(str(authors["config"])), **config})


def scaled(authors):
    features = authors["input"].transpose(0, 2, 1, 3)
    return torch.as_tensor(ScalePerStep(Layout(TEN_TWENTY, 1.0)).step(features, ())[0])


def assert_parity(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 3e-5 * max(1, np.abs(expected).max())


def test_the_authors_weights_give_the_authors_answers(authors):
    found = answers(imported(authors), authors)
    assert set(found) == {name for name in authors if name.startswith("output")}
    for name, values in found.items():
        assert_parity(values, authors[name])


@pytest.mark.parametrize("memory", ["carry", "clip"])
def test_every_update_gives_the_authors_logits(authors, memory):
    taken = imported(authors, adjacency=authors["adjacency"])
    changed = {"update": "always", "memory": memory}
    network = REST(taken.channels, **{**taken.settings, **changed})
    network.load_state_dict(taken.weights)
    with torch.inference_mode():
        logits, _ = network.eval().step(scaled(authors), network.initial_state(4))
    assert_parity(logits[:, -1].numpy(), authors["output_nodes_fire_rate_1"])


def test_the_authors_network_is_that_of_the_paper(authors):
    network = network_with("rest", imported(authors, multi=True))
    assert network.channels == TUSZ
    assert (network.memory, network.clip, network.bound) == ("clip", 14, float("inf"))
    assert network.repeats == (1, 9)


def test_without_a_graph_there_must_be_19_electrodes(authors):
    assert imported(authors, nodes=3, adjacency=np.ones((3, 3))).channels == ("1", "2", "3")
    with pytest.raises(ValueError, match="Invalid nodes: 3, must be 19 where no adjacency"):
        imported(authors, nodes=3)


def test_weights_of_another_network_are_refused(authors):
    weights = weights_of(authors)
    weights["l3.weight"] = weights.pop("l2.weight")
    with pytest.raises(ValueError, match=r"missing \['l2.weight'\] and unknown \['l3.weight'\]"):
        read(weights, {})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_textbook_gives_the_authors_logits(authors):
    pytest.importorskip("torch_geometric", exc_type=ImportError)
    textbook = runpy.run_path(str(REFERENCE))
    network = textbook["REST"]()
    network.load_state_dict({k: torch.as_tensor(v) for k, v in weights_of(authors).items()})
    clips = torch.as_tensor(authors["input"])
    edges = textbook["edges_of"](torch.as_tensor(authors["adjacency"]), len(clips))
    every = torch.as_tensor(authors["masks_multi"])
    several = torch.split(every, authors["updates_per_step"].tolist())
    single = list(torch.as_tensor(authors["masks"])[:, None])
    with torch.inference_mode():
        nodes = network(clips, *edges, fire_rate=1.0)
        masked, multi = (network(clips, *edges, masks=masks) for masks in (single, several))
    assert_parity(nodes.numpy(), authors["output_nodes_fire_rate_1"])
    assert_parity(masked.mean(dim=1).numpy(), authors["output_masked"])
    assert_parity(multi.mean(dim=1).numpy(), authors["output_multi"])


def test_it_has_the_published_number_of_weights():
    assert sum(weight.numel() for weight in REST(TEN_TWENTY).parameters()) == 8449


@pytest.mark.parametrize("channels", [TEN_TWENTY, DOUBLE_BANANA])
def test_the_graph_links_every_node_to_others_but_not_to_itself(channels):
    graph = electrode_graph(channels)
    assert np.array_equal(graph, graph.T)
    assert (graph.sum(axis=0) > 0).all()
    assert not graph.diagonal().any()


@pytest.mark.parametrize("memory", ["carry", "clip"])
def test_typing_has_four_logits_for_each_node(memory):
    network = REST(TEN_TWENTY, classes=4, memory=memory, clip=5).eval()
    with torch.inference_mode():
        logits, _ = network.step(torch.randn(2, 8, 19, 100), network.initial_state(2))
    assert logits.shape == (2, network.outputs(8), 19, 4)
    assert logits[:, -1].isfinite().all()


def test_the_graph_is_given_from_source_to_target():
    graph = np.zeros((19, 19))
    graph[0, 1] = 1.0
    network = REST(TEN_TWENTY, adjacency=graph, warm_up=0).eval()
    features = torch.randn(1, 1, 19, 100)
    changed = features.clone()
    changed[:, :, 0] += 1.0
    with torch.inference_mode():
        one, two = (network.step(x, network.initial_state(1))[0] for x in (features, changed))
    assert (one != two).flatten().nonzero().flatten().tolist() == [0, 1]


def test_a_graph_of_another_size_is_refused():
    with pytest.raises(ValueError, match="Invalid adjacency: shape"):
        REST(TEN_TWENTY, adjacency=np.eye(3))


def test_a_graph_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match=r"Invalid adjacency: .*must be finite"):
        REST(TEN_TWENTY, adjacency=np.full((19, 19), np.nan))


def test_a_gradient_reaches_every_weight_in_training():
    network = REST(TEN_TWENTY, memory="clip", clip=3)
    draw = torch.Generator().manual_seed(0)
    logits, _, _ = network(torch.randn(2, 3, 19, 100), network.initial_state(2), draw)
    logits.square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_a_state_that_would_diverge_is_held_at_its_bound():
    torch.manual_seed(0)
    network = REST(TEN_TWENTY, normalise="none", update="always", bound=5.0)
    with torch.inference_mode():
        _, state = network.step(1e3 * torch.randn(1, 100, 19, 100), network.initial_state(1))
    assert state.memory.square().mean(dim=-1).sqrt().max() <= 5.0 + 1e-4


def test_normalised_state_stays_finite_over_a_day():
    torch.manual_seed(0)
    network = REST(TEN_TWENTY, update="always")
    features = torch.randn(1, 3600, 19, 100)
    state = network.initial_state(1)
    with torch.inference_mode():
        for _ in range(24):
            logits, state = network.step(features, state)
    assert logits.isfinite().all()
    assert state.memory.abs().max() < 1e3


def test_a_gap_starts_the_memory_anew():
    network = REST(TEN_TWENTY, warm_up=2).eval()
    features = torch.randn(1, 12, 19, 100)
    broken = features.clone()
    broken[:, 5] = torch.nan
    with torch.inference_mode():
        after_gap = network.step(broken, network.initial_state(1))[0][:, 6:]
        fresh = network.step(features[:, 6:], network.initial_state(1))[0]
    torch.testing.assert_close(after_gap, fresh, equal_nan=True)
    assert after_gap[:, :2].isnan().all()


def test_a_clip_with_a_gap_has_no_answer():
    network = REST(TEN_TWENTY, memory="clip", clip=4).eval()
    features = torch.randn(1, 12, 19, 100)
    features[:, 5] = torch.nan
    with torch.inference_mode():
        logits, _ = network.step(features, network.initial_state(1))
    answered = logits[0, :, 0, 0].isfinite()
    assert answered.tolist() == [True, True, False, False, False, False, True, True, True]


@pytest.mark.parametrize("option", ["memory", "normalise", "update"])
def test_options_that_do_not_exist_are_refused(option):
    with pytest.raises(ValueError, match=f"Invalid {option}: 'carrry', possible options"):
        REST(TEN_TWENTY, **{option: "carrry"})


@pytest.mark.parametrize("repeats", [(0, 3), (3, 1), (1,), (1, 2, 3), (1.0, 2.5)])
def test_repeats_are_the_fewest_and_the_most(repeats):
    with pytest.raises(ValueError, match=r"Invalid repeats: .*, must be two whole numbers"):
        REST(TEN_TWENTY, repeats=repeats)


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_the_share_that_is_updated_is_a_share(rate):
    with pytest.raises(ValueError, match=f"Invalid fire_rate: {rate}, must be from 0 to 1"):
        REST(TEN_TWENTY, fire_rate=rate)


def test_a_missing_lead_is_silent_and_the_others_answer():
    network = REST(TEN_TWENTY, warm_up=0).eval()
    features = torch.randn(1, 5, 19, 100)
    features[:, :, 3] = torch.nan
    with torch.inference_mode():
        logits, _ = network.step(features, network.initial_state(1))
    assert logits[:, :, 3].isnan().all()
    assert logits[:, :, :3].isfinite().all()


def test_sampled_updates_differ_by_seed_and_repeat_by_seed():
    network = REST(TEN_TWENTY, update="sampled", warm_up=0).eval()
    features = torch.randn(1, 5, 19, 100)
    with torch.inference_mode():
        one, two, again = (
            network.step(features, network.initial_state(1, seed=seed))[0] for seed in (1, 2, 1)
        )
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


def spoilt(steps):
    """Features with gaps, a lead that is missing for long, and others now and then."""
    features = torch.randn(1, steps, 19, 100, generator=torch.Generator().manual_seed(1))
    features[:, 5] = features[:, 9, 4:] = features[:, 12, 5, 7] = torch.nan
    features[:, steps // 2 :, 3] = torch.nan
    return features


def followed(network, features, block):
    """Return the logits of the first row, and its state, from block to block."""
    state, found = network.initial_state(len(features)), []
    with torch.inference_mode():
        for part in features.split(block, dim=1):
            logits, state = network.step(part, state)
            found.append(logits[:1])
    return torch.cat(found, dim=1), [part[:1] for part in state[:3]]


@pytest.mark.parametrize("memory", ["carry", "clip"])
@pytest.mark.parametrize("update", ["expected", "always"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bound": float("inf"), "classes": 4},
        {"bound": 0.3, "repeats": (1, 4), "warm_up": 0},
        {"normalise": "none", "clip": 1, "fire_rate": 0.1},
    ],
)
def test_a_row_alone_answers_as_one_of_many(memory, update, options):
    torch.manual_seed(0)
    network = REST(TEN_TWENTY, memory=memory, update=update, **{"clip": 4, **options}).eval()
    network = network.double()
    features = spoilt(24).double()
    many, state = followed(network, features.expand(2, -1, -1, -1), 7)
    assert 0.2 < many.isfinite().double().mean() < 1
    for block in (1, 5, 24):
        alone, after = followed(network, features, block)
        torch.testing.assert_close(alone, many, rtol=1e-9, atol=1e-9, equal_nan=True)
        torch.testing.assert_close(after, state, rtol=1e-9, atol=1e-9)
