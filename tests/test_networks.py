"""What holds for every network: it learns, what is saved comes back, and its recipe works."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from small_networks import SMALL, Small
from torch import Tensor, nn
from torch.nn import functional

import ranvier as rv
from ranvier.channels import DOUBLE_BANANA
from ranvier.lesson import pooled_over_sites
from ranvier.live.runner import certify
from ranvier.networks import NETWORKS, make_network
from ranvier.recipe import packaged_recipe
from ranvier.scoring import score_predictions
from ranvier.splits import PARTS_IN_TIME, cut_in_time
from ranvier.tasks import TASKS, Task

DROPOUTS = ("dropout", "attention_dropout", "stochastic_depth")
LINEAR = ("kalman", "wiener")
"""Solved in closed form."""
DECODING = (*LINEAR, "gru", "temporal_attention_lstm")
"""Answer with values, not with classes."""
WITHOUT_CONTEXT = ("rest", "gru", *LINEAR)
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def make(name: str, *, seed: int = 0, **more: Any) -> nn.Module:
    small = SMALL[name]
    torch.manual_seed(seed)
    return make_network(small.network, small.channels, {**small.settings, **more})


def takes(small: Small, **settings: Any) -> bool:
    try:
        make_network(small.network, small.channels, {**small.settings, **settings})
    except ValueError:
        return False
    return True


def signal_for(network: Any, *, batch: int, outputs: int = 1) -> Tensor:
    """Noise that is just long enough for so many valid outputs."""
    tail = () if network.features is None else (network.features,)
    steps = network.warm_up + 1 + (outputs - 1) * network.hop
    noise = torch.Generator().manual_seed(1)
    return torch.randn(batch, steps, len(network.channels), *tail, generator=noise)


def answers(network: Any, signal: Tensor) -> Tensor:
    network.eval()
    with torch.inference_mode():
        logits: Tensor = network.step(signal, network.initial_state(len(signal)))[0]
    return logits


def trained_on(network: Any, signal: Tensor) -> tuple[Tensor, ...]:
    """Logits and those of auxiliary heads, in training."""
    drawing = torch.Generator().manual_seed(0)
    logits, _, heads = network.train()(signal, network.initial_state(len(signal)), drawing)
    return logits, *heads


def assert_equal(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


every_form = pytest.mark.parametrize("name", SMALL)


def r2(found: Tensor, wanted: Tensor) -> float:
    found = found.detach()
    return float(1 - ((found - wanted) ** 2).sum() / ((wanted - wanted.mean(0)) ** 2).sum())


def loss_of_values(found: Tensor, wanted: Tensor) -> tuple[Tensor, bool]:
    return functional.mse_loss(found, wanted), r2(found, wanted) >= 0.95


def loss_of_classes(found: Tensor, wanted: Tensor) -> tuple[Tensor, bool]:
    both = functional.pad(found, (1, 0)) if found.shape[1] == 1 else found
    right = (both.argmax(dim=1) == wanted).float().mean()
    return functional.cross_entropy(both, wanted), bool(right >= 0.99)


@pytest.mark.parametrize("name", [n for n, small in SMALL.items() if small.network not in LINEAR])
def test_it_learns_64_random_windows_by_heart(name):
    network = make(name, **{one: 0.0 for one in DROPOUTS if takes(SMALL[name], **{one: 0.0})})
    signal, size = signal_for(network, batch=64), network.readout.out_features
    values = SMALL[name].network in DECODING
    wanted = torch.randn(64, size) if values else torch.randint(max(2, size), (64,))
    optimiser = torch.optim.Adam(network.train().parameters(), 1e-2)
    for _ in range(500):
        logits, _, _ = network(signal, network.initial_state(64), None)
        loss, learnt = (loss_of_values if values else loss_of_classes)(
            pooled_over_sites(logits)[0][:, -1], wanted
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if learnt:
            return
    pytest.fail(f"{name} has not learnt its windows, the loss is {loss.item():.3f}")


@pytest.mark.parametrize("name", [n for n, small in SMALL.items() if small.network in LINEAR])
def test_it_solves_what_is_linear(name):
    network, rng = make(name), np.random.default_rng(0)
    bins, lag = 400, getattr(network, "lag", 0)
    moved = np.zeros((bins + lag, network.readout.out_features))
    for i in range(1, len(moved)):
        moved[i] = 0.9 * moved[i - 1] + rng.normal(size=moved.shape[1])
    told = moved[lag:] @ rng.normal(size=(moved.shape[1], len(network.channels)))
    signal = torch.tensor(told + 0.1 * rng.normal(size=told.shape), dtype=torch.float32)
    wanted = torch.tensor(moved[network.window - 1 : bins], dtype=torch.float32)
    network.solve([signal], [wanted])
    found = answers(network, signal[None])[0, :, 0]
    known = ~found.isnan().any(dim=1)
    assert r2(found[known], wanted[known]) >= 0.95


ONE_SEGMENT = {"ARNN with context": {"window": 16}}
"""A window of one segment never uses the state that it writes: here it is of two."""
WITHOUT_EFFECT = ("recalibrate.first.convolve.bias", "recalibrate.second.convolve.bias", "score.3")
"""Published, but taken away again by the norm or the softmax that follows."""


@every_form
def test_all_that_can_be_trained_gets_a_gradient(name):
    network = make(name, **ONE_SEGMENT.get(name, {}))
    outputs = trained_on(network, signal_for(network, batch=8, outputs=8))
    sum((one.nan_to_num() * torch.randn_like(one)).sum() for one in outputs).backward()
    for parameter, weight in network.named_parameters():
        if not weight.requires_grad:
            assert weight.grad is None, parameter
            continue
        assert not parameter.startswith("unused."), parameter
        assert weight.grad is not None, parameter
        assert weight.grad.isfinite().all(), parameter
        least = 0.0 if any(one in parameter for one in WITHOUT_EFFECT) else 1e-4
        assert weight.grad.abs().max() > least, parameter


@every_form
def test_what_is_unused_changes_no_answer(name):
    network = make(name)
    signal = signal_for(network, batch=2, outputs=2)
    before, unused = answers(network, signal), getattr(network, "unused", nn.Module())
    for weight in unused.parameters():
        assert not weight.requires_grad
        nn.init.constant_(weight, torch.nan)
    assert_equal(answers(network, signal), before)


@every_form
def test_saved_weights_restore_the_answers(name):
    one, other = make(name), make(name, seed=1)
    signal = signal_for(one, batch=2, outputs=3)
    expected = answers(one, signal)
    assert not torch.equal(answers(other, signal)[:, -1], expected[:, -1])
    other.load_state_dict(load(save(one.state_dict())))
    assert_equal(answers(other, signal), expected)


@every_form
def test_every_weight_has_one_name_and_a_place_of_its_own(name):
    stored = make(name).state_dict()
    learnt = [n for n, _ in make(name).named_parameters(remove_duplicate=False)]
    assert len({n.casefold() for n in stored}) == len(stored)
    assert set(learnt) <= set(stored)
    assert len({weight.data_ptr() for weight in stored.values()}) == len(stored)


@pytest.mark.parametrize("each", [False, True])
@every_form
def test_rescaling_is_exact(name, each):
    network = make(name)
    classes = torch.arange(network.readout.out_features)
    scale, offset = (2.0 - 0.25 * classes, classes - 0.5) if each else (1.5, -0.5)
    signal = signal_for(network, batch=2, outputs=3)
    before = answers(network, signal)
    network.rescale(*(one.tolist() if each else one for one in (scale, offset)))
    expected = scale * before + offset
    torch.testing.assert_close(answers(network, signal), expected, equal_nan=True)


@every_form
def test_evaluation_leaves_nothing_to_chance(name):
    network = make(name)
    signal = signal_for(network, batch=2, outputs=3)
    assert_equal(answers(network, signal), answers(network, signal))


@every_form
def test_a_step_in_training_changes_running_statistics_alone(name):
    network = make(name)
    signal = signal_for(network, batch=4, outputs=3)
    before = answers(network, signal)
    kept = {n: w.clone() for n, w in network.state_dict().items() if n.endswith(STATISTICS)}
    trained_on(network, signal)
    network.load_state_dict(kept, strict=False)
    assert_equal(answers(network, signal), before)


def looking_back(name: str, windows: int) -> Any:
    """A form of a network that looks back on windows, of which none overlap."""
    for form, small in SMALL.items():
        if small.network == name and takes(small, context=windows, hop=None):
            return make(form, context=windows, hop=None).eval()
    pytest.fail(f"no small form of {name} takes context")


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - set(WITHOUT_CONTEXT)))
def test_context_reaches_as_far_back_as_it_says_and_not_ahead(name):
    network = looking_back(name, windows=2)
    signal = signal_for(network, batch=1, outputs=6)
    changed, second = signal.clone(), slice(network.hop, 2 * network.hop)
    changed[:, second] = changed[:, second].flip(1) + 1.0
    before, after = (answers(network, one).flatten(2) for one in (signal, changed))
    assert before.isfinite().all()
    differs = (before != after).any(dim=2)[0]
    assert differs.tolist() == [False, True, True, True, False, False]


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - set(WITHOUT_CONTEXT)))
def test_what_the_past_corrects_begins_as_what_a_window_says_alone(name):
    weight = looking_back(name, windows=2).readout.weight.detach()
    classes = len(weight)
    torch.testing.assert_close(weight[:, :classes], torch.eye(classes))
    assert weight[:, classes:].abs().max() < 0.1


@pytest.mark.parametrize("name", WITHOUT_CONTEXT)
def test_networks_that_have_no_context_refuse_it(name):
    forms = [small for small in SMALL.values() if small.network == name]
    assert not any(takes(small, context=1) for small in forms)


RECIPES = sorted(
    (one.name.removesuffix(f"_{task}.yaml"), task)
    for one in (files("ranvier") / "recipes").iterdir()
    for task in TASKS
    if one.name.endswith(f"_{task}.yaml")
)
CHANNELS = {
    "seizure": DOUBLE_BANANA,
    "seizure_type": DOUBLE_BANANA,
    "sleep": ("EEG Fpz-Cz",),
    "movement": tuple(f"unit {i}" for i in range(60)),
}


def test_every_network_has_a_recipe():
    assert {network for network, _ in RECIPES} == set(NETWORKS)


@pytest.mark.parametrize(("network", "task"), RECIPES)
def test_a_recipe_names_what_there_is_and_makes_a_network_that_answers(network, task):
    recipe = packaged_recipe(task, network)
    assert (recipe.network, recipe.task) == (network, task)
    assert task in TASKS
    made = make_network(network, CHANNELS[task], recipe.network_settings)
    assert answers(made, signal_for(made, batch=1))[:, -1].isfinite().all()


@dataclass(frozen=True)
class Quick:
    """How a recipe is made small enough for a test, and learns something all the same."""

    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


SPECTRA = {"stretch": 24.0, "segment": 24.0, "background": 2.0, "learning_rate": 1e-3, "passes": 8}
SAMPLES = {"stretch": 2.0, "segment": 2.0, "batch": 8, "learning_rate": 5e-3, "passes": 3}
FAST = {"learning_rate": 5e-3, "passes": 6}
QUICK = {
    "arnn": Quick(
        {"window": 128, "segment": 32, "hidden": 16, "heads": 2, "head_size": 4}, SAMPLES
    ),
    "attn_sleep": Quick({"hidden": 32}, {"batch": 16, "passes": 2}),
    "cct": Quick({"window": 256, "filters": 8, "hidden": 8, "heads": 2}, {**FAST, "passes": 2}),
    "cnn_lstm": Quick(
        {"window": 4, "hop": 2, "filters": 8, "dense": 64, "hidden": 64, "layers": 1}, SPECTRA
    ),
    "dcrnn": Quick(
        {"window": 4, "hop": 2, "hidden": 32, "layers": 1},
        {**SPECTRA, "learning_rate": 2e-3, "passes": 20, "patience": 20},
    ),
    "gru": Quick({"hidden": 32}, FAST),
    "inception": Quick(
        {"window": 256, "hop": 250, "pooling": ["max"]}, {**FAST, "passes": 2, "augment": {}}
    ),
    "lstm": Quick({"hidden": 16}, {**FAST, "passes": 2}),
    "r_transformer": Quick(
        {"window": 64, "hidden": 16, "layers": 1, "kernel": 3, "recurrences": 1}, SAMPLES
    ),
    "rest": Quick({}, {**FAST, "stretch": 40.0, "segment": 20.0, "batch": 4, "passes": 4}),
    "rest_seizure_type": Quick({}, {"learning_rate": 1e-2, "segment": 20.0, "passes": 12}),
    "temporal_attention_lstm": Quick({"window": 10, "hidden": 16, "dense": 16}, FAST),
    "transformer": Quick({"hop": 2}, {**SPECTRA, "learning_rate": 5e-4, "passes": 6}),
    "vit": Quick({"window": 256, "hidden": 16}, SAMPLES),
}
SLOW = ("arnn", "attn_sleep", "cct", "cnn_lstm", "inception")
SCORES = {
    "seizure": lambda scores: scores.pooled.auroc,
    "seizure_type": lambda scores: scores.pooled.outputs.kappa,
    "sleep": lambda scores: scores.pooled.kappa,
    "movement": lambda scores: scores.mean,
}
ABOVE_CHANCE = {"seizure": 0.55, "seizure_type": 0.05, "sleep": 0.1, "movement": 0.2}


def quick(task: str, network: str, **training: Any) -> rv.Recipe:
    how = QUICK.get(f"{network}_{task}", QUICK.get(network, Quick()))
    recipe = packaged_recipe(task, network)
    return replace(
        recipe,
        network_settings={**recipe.network_settings, **how.network},
        training=replace(recipe.training, **{**how.training, **training}),
    )


@pytest.fixture(scope="module")
def simulated() -> dict[str, list[rv.Recording]]:
    return {
        "seizure": rv.simulate_seizures(subjects=3, minutes=4),
        "seizure_type": rv.simulate_seizures(
            subjects=3, minutes=6, types=("focal", "generalised", "absence", "tonic")
        ),
        "sleep": rv.simulate_nights(subjects=3, hours=0.5),
        "movement": rv.simulate_reaches(subjects=1, minutes=2),
    }


@dataclass(frozen=True)
class Trained:
    """A decoder, what it scored on its test part, and the recordings of each part."""

    task: Task
    decoder: rv.Decoder
    score: float
    training: list[rv.Recording]
    held_out: list[rv.Recording]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(one, marks=pytest.mark.slow) if one[0] in SLOW else one for one in RECIPES
    ],
    ids=lambda one: one[0],
)
def trained(request, simulated) -> Trained:
    network, task = request.param
    recipe = quick(task, network)
    evaluation = rv.evaluate(task, simulated[task], recipe=recipe, only=0)
    (done,) = evaluation.folds
    cut = cut_in_time(simulated[task], PARTS_IN_TIME) if recipe.in_time else simulated[task]
    fold = done.certificate.fold
    training, held_out = ([x for x in cut if x.subject in p] for p in (fold.train, fold.test))
    score = SCORES[task](evaluation.scores)
    return Trained(recipe.learnt, done.decoder, score, training, held_out)


def test_a_recipe_trains_and_answers_for_what_it_has_not_seen(trained):
    assert np.isfinite(trained.score)
    for recording in trained.held_out:
        found = trained.decoder.predict(recording)
        assert found.valid.mean() > 0.8
        assert np.isfinite(found.values[found.valid]).all()


def test_file_and_stream_agree_on_what_it_has_not_seen(trained):
    certified = certify(trained.decoder, trained.held_out[0].until(240))
    assert certified.equal, str(certified)


def test_what_is_learnt_is_above_chance_where_it_was_learnt(trained):
    task = trained.task
    found = [trained.decoder.predict(recording) for recording in trained.training]
    truth = {recording.name: task.truth_of(recording) for recording in trained.training}
    score = SCORES[task.name](score_predictions(task.name, found, truth))
    assert score > ABOVE_CHANCE[task.name]


@pytest.mark.slow
def test_rest_tells_seizures_of_new_patients():
    patients = rv.simulate_seizures(subjects=6, minutes=5)
    recipe = quick("seizure", "rest", segment=40.0, batch=8, learning_rate=3e-3, passes=8)
    assert rv.evaluate("seizure", patients, recipe=recipe, folds=3).scores.pooled.auroc > 0.6


@pytest.mark.slow
def test_attn_sleep_tells_stages_of_new_sleepers():
    nights = rv.simulate_nights(subjects=5, hours=1.0)
    recipe = quick("sleep", "attn_sleep", passes=8)
    assert rv.evaluate("sleep", nights, recipe=recipe, only=0).scores.pooled.kappa > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("network", ["gru", "temporal_attention_lstm"])
def test_recurrent_decoders_follow_later_movement(simulated, network):
    recipe = quick("movement", network, passes=10)
    assert rv.evaluate("movement", simulated["movement"], recipe=recipe).scores.mean > 0.5
