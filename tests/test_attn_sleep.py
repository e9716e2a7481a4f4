"""AttnSleep against the authors' code, and the faults that its options correct."""

import ast
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from ranvier.authors.attn_sleep import answers, read
from ranvier.networks.attn_sleep import AttnSleep, SampleNorm

PARITY = Path(__file__).parents[2] / "shared" / "parity"
REFERENCE = Path(__file__).parents[1] / "benchmarks" / "reference" / "attn_sleep.py"
CORRECTED = {"attend": "time", "query": "normalised", "start": "independent"}


@pytest.fixture(scope="module", params=["attn_sleep", "attn_sleep_shhs"])
def authors(request):
    path = PARITY / f"{request.param}.npz"
    if not path.exists():
        pytest.skip("the parity fixtures do not lie beside the project")
    with np.load(path) as stored:
        return dict(stored)


def weights_of(authors):
    return {name[8:]: values for name, values in authors.items() if name.startswith("weights/")}


def config_of(authors):
    return ast.literal_eval(str(authors["config"]))


def assert_parity(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 3e-5 * max(1, np.abs(expected).max())


def small(**options):
    torch.manual_seed(0)
    return AttnSleep(("Fpz-Cz", "Pz-Oz"), window=100, hidden=8, **{"maps": 10, **options})


def test_the_authors_weights_give_the_authors_answers(authors):
    found = answers(read(weights_of(authors), config_of(authors)), authors)
    assert set(found) == {"output", "features"}
    for name, values in found.items():
        assert_parity(values, authors[name])


def test_sizes_come_from_the_weights_alone(authors):
    weights = weights_of(authors)
    assert read(weights, {}).settings == read(weights, config_of(authors)).settings


def test_the_textbook_form_gives_the_authors_answers(authors):
    size, then = len(authors["weights/tce.norm.a_2"]), authors["weights/mrcnn.features2.5.weight"]
    network = runpy.run_path(str(REFERENCE))["AttnSleep"](size=size, then=then.shape[-1]).eval()
    network.load_state_dict({k: torch.as_tensor(v) for k, v in weights_of(authors).items()})
    with torch.inference_mode():
        features = network.mrcnn(torch.as_tensor(authors["input"]))
        output = network(torch.as_tensor(authors["input"]))
    assert_parity(features.numpy(), authors["features"])
    assert_parity(output.numpy(), authors["output"])


def test_a_weight_that_is_not_known_is_refused(authors):
    with pytest.raises(ValueError, match=r"Invalid weight: 'fc2\.weight', known modules"):
        read({**weights_of(authors), "fc2.weight": np.zeros(1)}, {})


@pytest.mark.parametrize("name", ["tce.norm.a_2", "tce.layers.1.self_attn.convs.1.bias", "fc.bias"])
def test_a_missing_weight_is_refused(authors, name):
    weights = weights_of(authors)
    del weights[name]
    with pytest.raises(ValueError, match="Invalid weights: "):
        read(weights, {})


def test_a_weight_of_another_shape_is_refused(authors):
    weights = weights_of(authors) | {"tce.norm.a_2": np.ones(7, np.float32)}
    with pytest.raises(ValueError, match=r"norm\.weight has shape \(7,\), must have"):
        read(weights, {})


def test_it_has_the_published_number_of_weights_and_of_unused_ones():
    network = AttnSleep(("Fpz-Cz",))
    assert sum(weight.numel() for weight in network.parameters()) == 522_805
    assert sum(weight.numel() for weight in network.unused.parameters()) == 12_980


@pytest.mark.parametrize(("form", "window"), [("sleep_edf", 3000), ("shhs", 3750)])
def test_a_form_fits_the_epochs_of_its_data_set(form, window):
    network = AttnSleep(("C4-A1",), form=form, hop=500).eval()
    with torch.inference_mode():
        logits, _ = network.step(torch.randn(1, window + 500, 1), network.initial_state(1))
    assert logits.shape == (1, 2, 1, 5)


@pytest.mark.parametrize("options", [{}, CORRECTED])
def test_gradients_reach_every_weight_but_the_unused(options):
    network = small(context=2, **options)
    logits, _, _ = network(torch.randn(3, 400, 2), network.initial_state(3))
    logits.square().sum().backward()
    missed = {name for name, weight in network.named_parameters() if weight.grad is None}
    assert missed == {f"unused.{name}" for name, _ in network.unused.named_parameters()}


def test_what_is_said_alone_is_settled_before_the_past_corrects_it():
    network, signal = small(context=2), torch.randn(3, 400, 2)
    network.learn_alone()
    alone, _ = network.eval().step(signal, network.initial_state(3))
    network.learn_to_look_back()
    assert not network.train().training
    learnt = {name.partition(".")[0] for name, w in network.named_parameters() if w.requires_grad}
    assert learnt == {"context", "readout"}
    together, _ = network.step(signal, network.initial_state(3))
    torch.testing.assert_close(together, alone, rtol=0, atol=0.2)
    assert not torch.equal(together, alone)


def test_published_layers_start_as_clones_and_corrected_ones_do_not():
    for start, cloned in (("clones", True), ("independent", False)):
        first, second = small(start=start).encoder.layers
        assert torch.equal(first.join.weight, second.join.weight) == cloned
        _, key, value = torch.chunk(first.mix.weight, 3)
        assert torch.equal(key, value) == cloned


def test_a_normalised_query_uses_the_norm_that_was_dead():
    published, corrected = small(), small(query="normalised")
    assert "norm_0" in published.unused
    assert "norm_0" not in corrected.unused
    assert sum(p.numel() for p in published.parameters()) == sum(
        p.numel() for p in corrected.parameters()
    )


def test_each_derivation_is_staged_by_itself():
    network = small().eval()
    signal = torch.randn(1, 200, 2)
    swapped = signal.flip(2)
    with torch.inference_mode():
        logits, _ = network.step(signal, network.initial_state(1))
        other, _ = network.step(swapped, network.initial_state(1))
    torch.testing.assert_close(other, logits.flip(2), rtol=0, atol=1e-6)


def test_batch_norm_folded_into_convolutions_changes_no_answer():
    network = small().train()
    network.step(torch.randn(4, 400, 2), network.initial_state(4))
    layer, maps = network.views.recalibrate.first.eval(), torch.randn(3, 128, 1, 9)
    torch.testing.assert_close(layer(maps), layer.norm(layer.convolve(maps)))


def test_the_norm_divides_by_the_deviation_of_a_sample():
    tokens = torch.randn(3, 80)
    expected = (tokens - tokens.mean(1, keepdim=True)) / tokens.std(1, keepdim=True)
    torch.testing.assert_close(SampleNorm(80)(tokens), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("option", ["form", "attend", "query", "start"])
def test_options_that_do_not_exist_are_refused(option):
    with pytest.raises(ValueError, match=f"Invalid {option}: 'space', possible options"):
        AttnSleep(("Fpz-Cz",), **{option: "space"})


@pytest.mark.parametrize("size", ["window", "maps", "layers", "heads", "hidden"])
def test_sizes_that_are_too_small_are_refused(size):
    with pytest.raises(ValueError, match=f"Invalid {size}: 0, must be at least"):
        AttnSleep(("Fpz-Cz",), **{size: 0})


def test_heads_that_do_not_divide_a_token_are_refused():
    with pytest.raises(ValueError, match="Invalid heads: 7, must divide 80"):
        AttnSleep(("Fpz-Cz",), heads=7)
