"""The Inception detector against the authors' code, and the rules of a window scaled by itself."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ranvier.authors.inception import answers, read
from ranvier.networks.inception import Block, Inception, filter_bank, scaled, upsampled

FIXTURE = Path(__file__).parents[2] / "shared" / "parity" / "inception.npz"


@pytest.fixture(scope="module")
def authors():
    if not FIXTURE.exists():
        pytest.skip("the parity fixtures do not lie beside the project")
    with np.load(FIXTURE) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def weights(authors):
    return {k.removeprefix("weights/"): v for k, v in authors.items() if k.startswith("weights/")}


@pytest.fixture(scope="module")
def imported(authors, weights):
    return read(weights, ast.literal_eval(str(authors["config"])))


@pytest.fixture(scope="module")
def found(authors, imported):
    return answers(imported, authors)


@pytest.mark.parametrize("key", ["output", "output_logit", "aux_large", "aux_small"])
def test_the_authors_weights_give_the_authors_answers(authors, found, key):
    expected = authors[key]
    assert np.abs(found[key] - expected).max() <= 3e-5 * max(1, np.abs(expected).max())


def test_the_stream_gives_the_authors_logits(authors, imported):
    network = Inception(("1",), **{**imported.settings, "scale_windows": False}).eval()
    network.load_state_dict(imported.weights)
    windows = torch.as_tensor(authors["input"])
    with torch.inference_mode():
        logits, _ = network.step(windows, network.initial_state(len(windows)))
    theirs = logits[:, 0, 0].flip(-1)
    np.testing.assert_allclose(theirs, authors["output_logit"], atol=3e-5)


def test_layers_that_keras_numbers_are_taken_in_their_order(authors, weights, imported):
    shifted = {
        name.replace("conv1d_1/", "conv1d_12/").replace("conv1d/", "conv1d_9/"): values
        for name, values in reversed(weights.items())
    }
    for name, values in read(shifted, {}).weights.items():
        assert torch.equal(values, imported.weights[name])


def test_the_filter_bank_is_the_authors(authors):
    bank = filter_bank(250.0)[:, 0, 0].T
    np.testing.assert_allclose(bank, authors["weights/conv1d/kernel:0"][:, 0], atol=1e-8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Lfilter_FC3/kernel:0": np.zeros((1, 1), np.float32)}, "Invalid weight: 'Lfilter_FC3"),
        ({"main_FC2/bias:0": None}, "Invalid weights: none of theirs is our readout.bias"),
        ({"conv1d/kernel:0": np.zeros((64, 1, 7), np.float32)}, "Invalid weights: bank has shape"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, change, message):
    changed = {k: v for k, v in {**weights, **change}.items() if v is not None}
    with pytest.raises(ValueError, match=message):
        read(changed, {})


def test_a_factor_of_nothing_is_refused(weights):
    with pytest.raises(ValueError, match="Invalid upSamplingFactor: 0, must be at least 1"):
        read(weights, {"upSamplingFactor": 0})


@pytest.mark.parametrize(
    ("pooling", "learnt", "all_values"),
    [(("max",), 115_310, 116_558), (("max", "average"), 214_114, 215_650)],
)
def test_it_has_the_published_number_of_values(pooling, learnt, all_values):
    network = Inception(("C3",), pooling=pooling)
    stored = network.state_dict()
    counted = {n: v.numel() for n, v in stored.items() if not n.endswith("num_batches_tracked")}
    assert sum(weight.numel() for weight in network.parameters()) == learnt
    assert sum(counted.values()) == all_values
    assert counted["bank"] == 896
    moving = sum(size for name, size in counted.items() if ".running_" in name)
    assert learnt + moving + 896 == all_values


def test_a_flat_window_becomes_zeros_and_has_an_answer():
    flat = torch.full((1, 256, 1), 0.1)
    network = Inception(("C3",), window=256).eval()
    assert not scaled(flat.movedim(1, 2)).any()
    assert network.step(flat, network.initial_state(1))[0].isfinite().all()


def test_neither_offset_nor_size_of_the_signal_changes_the_answer():
    signal = torch.randn(1, 256, 1)
    network = Inception(("C3",), window=256).eval()
    one, other = (network.embed(x) for x in (signal, 30 * signal + 100))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_a_scaled_window_has_zero_mean_and_a_largest_magnitude_of_one():
    signal = scaled(torch.randn(5, 1, 1, 300) * 40 + 7)
    torch.testing.assert_close(signal.mean(dim=-1), torch.zeros(5, 1, 1), atol=1e-6, rtol=0)
    assert torch.equal(signal.abs().amax(dim=-1), torch.ones(5, 1, 1))


def test_upsampling_keeps_the_samples_and_follows_a_line_between_them():
    signal = torch.arange(20.0)[None, None, None]
    finer = upsampled(signal, 4)
    assert finer.shape == (1, 1, 1, 80)
    torch.testing.assert_close(finer[..., ::4], signal)
    torch.testing.assert_close(finer[..., 6:70:4], signal[..., 1:17] + 0.5)


def test_each_pooling_has_a_wide_and_a_narrow_unit():
    blocks = [unit[0] for unit in Inception(("C3",), upsample=2).units]
    assert [block.convolution.dilation[1] for block in blocks] == [8, 2, 8, 2]
    assert [type(block.pool) for block in blocks] == 2 * [nn.MaxPool2d] + 2 * [nn.AvgPool2d]


def test_the_bank_is_made_for_the_rate_after_upsampling():
    network = Inception(("C3",), window=64, rate=128.0, upsample=2)
    assert torch.equal(network.bank, filter_bank(256.0).float())


@pytest.mark.parametrize(("pooling", "pooled"), [("max", [3, 4, 9]), ("average", [2, 3, 9])])
def test_an_odd_last_sample_stands_for_itself(pooling, pooled):
    signal = torch.tensor([1.0, 3, 2, 4, 9])[None, None, None]
    assert Block(1, 1, 3, pooling=pooling).pool(signal).flatten().tolist() == pooled


def test_heads_of_the_units_speak_in_training_alone():
    network = Inception(("C3",), window=64)
    signal, state = torch.randn(4, 64, 1), network.initial_state(4)
    assert [head.shape for head in network.train()(signal, state)[2]] == [(4, 1, 1, 2)] * 4
    network.heads = None
    assert network.eval()(signal, state)[2] == ()


def test_the_bank_in_double_precision_answers_alike():
    signal = torch.randn(2, 512, 1)
    network = Inception(("C3",), window=512).eval()
    double = Inception(("C3",), window=512, double=True).eval()
    assert double.bank.dtype == torch.float64
    double.load_state_dict({**network.state_dict(), "bank": filter_bank(250.0)})
    torch.testing.assert_close(double.embed(signal), network.embed(signal), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "option",
    [
        {"pooling": ("median",)},
        {"pooling": ()},
        {"upsample": 0},
        {"classes": 0},
        {"rate": 100.0},
        {"dropout": 1.0},
        {"window": 0},
    ],
)
def test_options_out_of_range_are_refused(option):
    with pytest.raises(ValueError, match=f"Invalid {next(iter(option))}"):
        Inception(("C3",), **option)
