"""REST against the authors' code, and the rules that carrying its state adds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY
from ranvier.features import ScalePerStep
from ranvier.networks.rest import REST, electrode_graph, from_authors
from ranvier.recording import Layout

FIXTURE = Path(__file__).parents[2] / "shared" / "parity" / "rest.npz"


@pytest.fixture(scope="module")
def authors():
    if not FIXTURE.exists():
        pytest.skip("the parity fixtures do not lie beside the project")
    with np.load(FIXTURE) as stored:
        return dict(stored)


def rest_like(authors, **options):
    published = {"normalise": "none", "bound": float("inf")}
    network = REST(TEN_TWENTY, adjacency=authors["adjacency"], **published, **options)
    weights = {k[8:]: v for k, v in authors.items() if k.startswith("weights/")}
    network.load_state_dict(from_authors(weights))
    return network.eval()


def scaled(authors):
    features = authors["input"].transpose(0, 2, 1, 3)
    return torch.as_tensor(ScalePerStep(Layout(TEN_TWENTY, 1.0)).step(features, ())[0])


def run_with_masks(network, features, masks_per_step):
    with torch.inference_mode():
        memory = network.initial_state(len(features)).memory
        for i, (x, masks) in enumerate(zip(features.unbind(1), masks_per_step, strict=True)):
            started = torch.full((len(x),), i > 0)
            memory = network.advance(network.project(x), memory, masks, started)
        return network.readout(memory)


def assert_parity(found, expected):
    assert np.abs(found.numpy() - expected).max() <= 3e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("memory", ["carry", "clip"])
def test_every_update_gives_the_authors_logits(authors, memory):
    network = rest_like(authors, memory=memory, clip=14, update="always")
    with torch.inference_mode():
        logits, _ = network.step(scaled(authors), network.initial_state(4))
    assert_parity(logits[:, -1], authors["output_nodes_fire_rate_1"])
    assert_parity(logits[:, -1].mean(dim=1), authors["output_fire_rate_1"])


def test_given_masks_give_the_authors_logits(authors):
    network = rest_like(authors)
    masks = [[mask.float()] for mask in torch.as_tensor(authors["masks"])]
    logits = run_with_masks(network, scaled(authors), masks)
    assert_parity(logits.mean(dim=1), authors["output_masked"])


def test_given_repeats_give_the_authors_logits(authors):
    network = rest_like(authors)
    masks = iter(torch.as_tensor(authors["masks_multi"]).float())
    per_step = [[next(masks) for _ in range(n)] for n in authors["updates_per_step"]]
    logits = run_with_masks(network, scaled(authors), per_step)
    assert_parity(logits.mean(dim=1), authors["output_multi"])


def test_it_has_the_published_number_of_weights():
    assert sum(weight.numel() for weight in REST(TEN_TWENTY).parameters()) == 8449


@pytest.mark.parametrize("channels", [TEN_TWENTY, DOUBLE_BANANA])
def test_the_graph_links_every_node_to_others_but_not_to_itself(channels):
    graph = electrode_graph(channels)
    assert np.array_equal(graph, graph.T)
    assert (graph.sum(axis=0) > 0).all()
    assert not graph.diagonal().any()


def test_a_graph_of_another_size_is_refused():
    with pytest.raises(ValueError, match="Invalid adjacency: shape"):
        REST(TEN_TWENTY, adjacency=np.eye(3))


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
