"""ARNN against the authors' code, its textbook form, and what carrying its state adds."""

import ast
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from ranvier.authors import load_authors
from ranvier.authors.arnn import answers, read
from ranvier.networks.arnn import CarriedARNN, WindowARNN, arnn

FIXTURE = Path(__file__).parents[2] / "shared" / "parity" / "arnn.npz"
REFERENCE = Path(__file__).parents[1] / "benchmarks" / "reference" / "arnn.py"
CHANNELS = tuple(str(i + 1) for i in range(23))
OFF = 1e-4
"""Of the fixture's logits, whose terms cancel: the authors' own are 4.5e-5 off double precision."""
SMALL = {"segment": 4, "hidden": 6, "heads": 2, "head_size": 4}


@pytest.fixture(scope="module")
def authors():
    if not FIXTURE.exists():
        pytest.skip("the parity fixtures do not lie beside the project")
    with np.load(FIXTURE) as stored:
        return dict(stored)


def weights_of(authors):
    return {name[8:]: values for name, values in authors.items() if name.startswith("weights/")}


def published(authors, **options):
    imported = read(weights_of(authors), ast.literal_eval(str(authors["config"])))
    settings = dict(imported.settings)
    if options.get("memory") == "carry":
        del settings["window"]
    network = arnn(imported.channels, **settings, **options)
    network.load_state_dict(dict(imported.weights))
    return network.eval()


def textbook(weights):
    network = runpy.run_path(str(REFERENCE))["ARNN"]().eval()
    network.load_state_dict({name: torch.as_tensor(values) for name, values in weights.items()})
    return network


def drawn_textbook():
    torch.manual_seed(0)
    network = runpy.run_path(str(REFERENCE))["ARNN"]().eval()
    for weight in network.parameters():
        weight.data.add_(0.2 * torch.randn_like(weight))
    return network


def ours_of(network):
    imported = read({name: value.numpy() for name, value in network.state_dict().items()}, {})
    made = arnn(imported.channels, **imported.settings)
    made.load_state_dict(dict(imported.weights))
    return made.eval()


def small(**options):
    torch.manual_seed(0)
    return arnn(CHANNELS, **{**SMALL, **options}).eval()


def run(network, samples):
    return network.step(samples, network.initial_state(len(samples)))[0]


def assert_parity(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 3e-5 * max(1, np.abs(expected).max())


def test_the_authors_weights_give_the_authors_answers(authors):
    imported = read(weights_of(authors), ast.literal_eval(str(authors["config"])))
    found = answers(imported, authors)
    assert set(found) == {"output", "output_logit", "state", "last_segment"}
    np.testing.assert_allclose(found.pop("output_logit"), authors["output_logit"], 0, OFF)
    for name, values in found.items():
        assert_parity(values, authors[name])


@pytest.mark.parametrize("memory", ["window", "carry"])
def test_either_form_gives_the_authors_logits(authors, memory):
    with torch.inference_mode():
        logits = run(published(authors, memory=memory), torch.as_tensor(authors["input"]))
    np.testing.assert_allclose(logits[:, -1, 0], authors["output_logit"], 0, OFF)


def test_the_textbook_form_gives_the_authors_answers(authors):
    network = textbook(weights_of(authors))
    with torch.inference_mode():
        windows = torch.as_tensor(authors["input"])
        last, state = network.arnn(network.embed["embed"](windows))
        logits = network(windows).numpy()
    assert_parity(last.numpy(), authors["last_segment"])
    assert_parity(state.numpy(), authors["state"])
    np.testing.assert_allclose(logits, authors["output_logit"], 0, OFF)


def test_both_forms_answer_as_the_textbook():
    theirs, windows = drawn_textbook(), torch.randn(5, 1024, 23)
    ours = ours_of(theirs)
    with torch.inference_mode():
        expected, found = theirs(windows), run(ours, windows)[:, 0, 0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=OFF)
    torch.testing.assert_close(run(ours, windows)[:, 0, 0], expected, rtol=1e-5, atol=OFF)


def test_gradients_are_those_of_the_textbook():
    theirs, windows = drawn_textbook(), torch.randn(2, 1024, 23)
    ours, given = ours_of(theirs), windows.clone().requires_grad_()
    theirs(given).sum().backward()
    expected, given.grad = given.grad, None
    run(ours, given).sum().backward()
    torch.testing.assert_close(given.grad, expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        ours.cell.first_state.grad, theirs.arnn.init_state.grad, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("memory", ["window", "carry"])
def test_it_has_the_published_number_of_weights(memory):
    network = arnn(CHANNELS, memory=memory)
    assert sum(weight.numel() for weight in network.parameters()) == 32061
    assert sum(w.numel() for w in network.parameters() if not w.requires_grad) == 3240


@pytest.mark.parametrize("memory", ["window", "carry"])
def test_every_weight_that_is_used_learns(memory):
    network = small(memory=memory).train()
    samples = torch.randn(3, 64 * (network.hop // 4), 23)[:, :1024]
    run(network, samples).nanmean().backward()
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    assert all(weight.grad.isfinite().all() and weight.grad.any() for weight in learning)


def test_dropout_acts_in_training_alone():
    network, samples = small(window=16), torch.randn(4, 16, 23)
    assert torch.equal(run(network, samples), run(network, samples))
    network.train()
    assert not torch.equal(run(network, samples), run(network, samples))


def test_weights_of_one_form_serve_the_other():
    window, carried = small(window=16), small(memory="carry", warm_up=3)
    carried.load_state_dict(window.state_dict())
    samples = torch.randn(2, 16, 23)
    torch.testing.assert_close(run(carried, samples)[:, -1:], run(window, samples))


@pytest.mark.parametrize("head_size", [2, 4, 6, 10])
@pytest.mark.parametrize("memory", ["window", "carry"])
def test_what_is_done_in_place_answers_as_in_learning(memory, head_size):
    network, samples = small(memory=memory, head_size=head_size), torch.randn(3, 2048, 23)
    with torch.inference_mode():
        found = run(network, samples)
    torch.testing.assert_close(found, run(network, samples), rtol=1e-4, atol=1e-5, equal_nan=True)


def test_mixed_precision_answers_too():
    network, samples = small(window=16), torch.randn(2, 16, 23)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = run(network, samples).float()
    torch.testing.assert_close(found, run(network, samples), rtol=0.1, atol=0.1)


def test_a_state_carried_over_a_thousand_segments_stays_bounded():
    network = small(memory="carry")
    with torch.inference_mode():
        logits, state = network.step(10 * torch.randn(1, 4000, 23), network.initial_state(1))
        _, again = network.step(10 * torch.randn(1, 4000, 23), state)
    assert logits[:, network.silent_segments :].isfinite().all()
    assert again.memory[0].abs().max() <= 2 * state.memory[0].abs().max()


def test_a_gap_starts_the_state_anew():
    network, samples = small(memory="carry", warm_up=2), torch.randn(1, 40, 23)
    broken = samples.clone()
    broken[:, 17] = torch.nan
    after, fresh = run(network, broken)[:, 5:], run(network, samples[:, 20:])
    torch.testing.assert_close(after, fresh, equal_nan=True)
    assert after[:, :2].isnan().all()


def test_scales_that_would_overflow_give_an_answer():
    network = small(window=16)
    network.cell.scales.data.fill_(1e4)
    with torch.inference_mode():
        assert run(network, torch.randn(2, 16, 23)).isfinite().all()


def test_constant_samples_and_states_give_an_answer():
    network = small(window=16)
    network.cell.first_state.data.zero_()
    network.cell.embed.weight.data.zero_()
    network.cell.embed.bias.data.zero_()
    with torch.inference_mode():
        assert run(network, torch.zeros(1, 16, 23)).isfinite().all()


def test_sizes_come_from_the_weights_alone(authors):
    config = ast.literal_eval(str(authors["config"]))
    assert read(weights_of(authors), {}).settings == read(weights_of(authors), config).settings


@pytest.mark.parametrize("config", [{"seq_len": 512}, {"time_steps": 8}, {"window": 512}])
def test_the_length_of_a_window_comes_from_the_config(authors, config):
    assert read(weights_of(authors), config).settings["window"] == 512


@pytest.mark.parametrize("sizes", [{"seq_len": 512}, {"time_steps": 8}, {"window": 512}])
@pytest.mark.usefixtures("authors")
def test_the_length_that_is_given_goes_before_that_of_the_file(sizes):
    assert load_authors("arnn", FIXTURE, config=sizes).settings["window"] == 512


def test_a_weight_that_is_not_known_is_refused(authors):
    with pytest.raises(ValueError, match=r"Invalid weights: mlp\.weight unknown to ARNN"):
        read({**weights_of(authors), "mlp.weight": np.zeros(1)}, {})


def test_a_missing_weight_is_refused(authors):
    weights = weights_of(authors)
    del weights["arnn.init_state"]
    with pytest.raises(ValueError, match=r"Invalid weights: arnn\.init_state missing"):
        read(weights, {})


def test_a_weight_of_another_shape_is_refused(authors):
    weights = {**weights_of(authors), "embed.embed.bias": np.zeros(39, np.float32)}
    with pytest.raises(ValueError, match=r"embed\.embed\.bias of shape \(39,\), must make up \(40"):
        read(weights, {})


@pytest.mark.parametrize("option", ["segment", "hidden", "heads", "classes"])
@pytest.mark.parametrize("form", [WindowARNN, CarriedARNN])
def test_sizes_below_one_are_refused(form, option):
    with pytest.raises(ValueError, match=f"Invalid {option}: 0, must be at least 1"):
        form(CHANNELS, **{option: 0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "carrry"}, "Invalid memory: 'carrry', possible options"),
        ({"head_size": 5}, "Invalid head_size: 5, must be even"),
        ({"dropout": 1.0}, r"Invalid dropout: 1\.0, must be"),
        ({"window": 100}, "Invalid window: 100, must be a multiple of segment, 64"),
        ({"window": 0}, "Invalid window: 0, must be a multiple of segment, 64"),
        ({"memory": "carry", "warm_up": -1}, "Invalid segment or warm_up"),
    ],
)
def test_options_that_are_not_allowed_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        arnn(CHANNELS, **options)
