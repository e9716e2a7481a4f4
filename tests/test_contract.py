"""The contract of streaming, over everything that has a ``step``."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import SMALL, Small

from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY
from ranvier.counts import BinCounts, Smooth
from ranvier.decisions import Alarm, AlarmRule
from ranvier.decoding import Chain
from ranvier.features import RunningScale, ScalePerStep, Spectrum, Standardise
from ranvier.networks import NETWORKS
from ranvier.recording import COUNT, Array, Layout
from ranvier.signal import DeriveMontage, Filter, MarkFlat, Pick, Resample
from ranvier.streaming import Pipeline, Stage, State, arrays_of, pack_state, unpack_state

REFERENTIAL = Layout(tuple(f"EEG {lead.upper()}-REF" for lead in TEN_TWENTY), 256.0)
BIPOLAR = Layout(DOUBLE_BANANA, 200.0)
STEPS = Layout(DOUBLE_BANANA, 1.0)
PROBABILITY = Layout(("probability",), 1.0)
SPIKES = Layout(("unit 1", "unit 2", "unit 3"), 200.0, COUNT)

SMALL_REST = Small("rest", {"features": 8, "warm_up": 1})


@dataclass(frozen=True)
class Case:
    """A thing with a step, the shape of its samples, and how close its answers must be."""

    make: Callable[[], Stage]
    tail: tuple[int, ...] = ()
    length: int = 700
    tolerance: float = 0.0


def chain() -> Pipeline:
    montage = DeriveMontage(REFERENTIAL)
    resample = Resample(Filter(montage.output).output)
    spectrum = Spectrum(resample.output, features=8)
    stages = [MarkFlat(REFERENTIAL), montage, Filter(montage.output), resample, spectrum]
    return Pipeline(REFERENTIAL, [*stages, ScalePerStep(spectrum.output), SMALL_REST.make()])


class Decoding(Stage):
    """A whole decoder, alarms and all, its answer as one array."""

    def __init__(self) -> None:
        before, probability = chain(), Layout(("probability",), 1.0)
        self.chain = Chain(before, Alarm(probability, rule=AlarmRule(0.5, 0.8, 2, 3)))
        self.layout, self.delay = before.layout, self.chain.delay

    @property
    def output(self) -> Layout:
        return self.chain.decision.output

    def outputs(self, samples: int) -> int:
        return self.chain.outputs(samples)

    def initial_state(self, batch: int) -> State:
        return self.chain.initial_state(batch)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        output, state = self.chain.step(chunk, state)
        return np.concatenate([output.values, output.rows], axis=2), state


IN_ONNX = (
    "REST carried",
    "REST clips",
    "Transformer",
    "DCRNN with context",
    "Inception",
    "LSTM carried",
    "ARNN carried",
    "Wiener with little",
    "Kalman with a lag",
)
"""One or more of each kind of network."""


def tail_of(small: Small) -> tuple[int, ...]:
    features = small.make().network.features
    return () if features is None else (features,)


CASES = {
    "mark flat": Case(lambda: MarkFlat(REFERENTIAL, 0.02)),
    "pick": Case(lambda: Pick(REFERENTIAL, ("EEG CZ-REF", "eeg o1-ref"))),
    "montage": Case(lambda: DeriveMontage(REFERENTIAL)),
    "band-pass": Case(lambda: Filter(BIPOLAR)),
    "high-pass": Case(lambda: Filter(BIPOLAR, high=None)),
    "low-pass": Case(lambda: Filter(BIPOLAR, low=None, order=4)),
    "256 to 200 Hz": Case(lambda: Resample(REFERENTIAL)),
    "256 to 100 Hz": Case(lambda: Resample(REFERENTIAL, 100.0)),
    "same rate": Case(lambda: Resample(BIPOLAR)),
    "spectrum": Case(lambda: Spectrum(BIPOLAR), length=900),
    "scale per step": Case(lambda: ScalePerStep(STEPS), (8,), 40),
    "standardise": Case(lambda: Standardise(STEPS, (1.0,), (2.0,)), (8,), 40),
    "bins of bins": Case(lambda: BinCounts(SPIKES, 0.02)),
    "running scale": Case(lambda: RunningScale(SPIKES, 0.5, 0.1)),
    "smooth": Case(lambda: Smooth(SPIKES, 0.03)),
    "alarm": Case(lambda: Alarm(PROBABILITY, rule=AlarmRule(0.5, 0.8, 2, 4)), length=80),
    "alarm that rests": Case(
        lambda: Alarm(PROBABILITY, rule=AlarmRule(0.5, 0.8, 2, 4, 15)), length=80
    ),
    "whole chain": Case(chain, length=2400, tolerance=1e-6),
    "decoder": Case(Decoding, length=2400, tolerance=1e-6),
    **{name: Case(small.make, tail_of(small), small.length, 1e-6) for name, small in SMALL.items()},
    **{
        f"{name} in ONNX": Case(
            SMALL[name].make_onnx, tail_of(SMALL[name]), SMALL[name].length, 1e-6
        )
        for name in IN_ONNX
    },
}


def test_every_network_is_held_to_the_contract():
    assert {small.network for small in SMALL.values()} == set(NETWORKS)


@pytest.fixture(params=CASES, scope="module")
def case(request) -> Case:
    return CASES[request.param]


def samples(
    case: Case, stage: Stage, *, batch: int = 2, seed: int = 0, flaws: bool = True
) -> Array:
    rng = np.random.default_rng(seed)
    shape = (batch, case.length, len(stage.layout.channels), *case.tail)
    values = rng.normal(0.4, 0.5, shape).astype(np.float32)
    if flaws:
        start = case.length // 3
        values[0, start : start + case.length // 10] = np.nan
        values[0, 2 * start :, 0] = values[0, 2 * start, 0]
    return values


def run(stage: Stage, signal: Array, cuts: tuple[int, ...] = ()) -> Array:
    state, parts = stage.initial_state(len(signal)), []
    for part in np.split(signal, sorted(cuts), axis=1):
        output, state = stage.step(part, state)
        parts.append(output)
    return np.concatenate(parts, axis=1)


def assert_same(case: Case, found: Array, expected: Array) -> None:
    if case.tolerance:
        np.testing.assert_allclose(found, expected, rtol=0, atol=case.tolerance, equal_nan=True)
    else:
        np.testing.assert_array_equal(found, expected)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.floats(0, 1), max_size=12))
def test_pieces_equal_the_whole(case, cuts):
    stage = case.make()
    signal = samples(case, stage)
    places = tuple(int(cut * case.length) for cut in cuts)
    assert_same(case, run(stage, signal, places), run(stage, signal))


def test_one_sample_at_a_time_equals_the_whole(case):
    stage = case.make()
    signal = samples(case, stage)[:, :450]
    assert_same(case, run(stage, signal, tuple(range(signal.shape[1]))), run(stage, signal))


def test_the_declared_number_of_outputs_is_given(case):
    stage = case.make()
    signal = samples(case, stage)
    for length in (0, 1, 2, 5, 199, 200, 201, case.length):
        part = signal[:, :length]
        assert run(stage, part).shape[1] == stage.outputs(part.shape[1])


def test_outputs_come_at_the_declared_hop(case):
    stage = case.make()
    seconds = case.length / stage.rate
    assert stage.outputs(case.length) == pytest.approx(seconds / stage.hop, abs=8)
    assert stage.hop == pytest.approx(1 / stage.output.rate)


def test_a_state_used_twice_answers_equally_and_is_not_changed(case):
    stage = case.make()
    first, second = np.split(samples(case, stage), 2, axis=1)
    _, state = stage.step(first, stage.initial_state(2))
    before = [np.array(array) for array in arrays_of(state)]
    one, two = stage.step(second, state)[0], stage.step(second, state)[0]
    np.testing.assert_array_equal(one, two)
    for old, new in zip(before, arrays_of(state), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("future", [np.nan, 1e6, 0.0])
def test_the_future_changes_no_past_output(case, future):
    stage = case.make()
    signal = samples(case, stage)
    past = case.length * 2 // 3
    changed = signal.copy()
    changed[:, past:] = future
    known = stage.outputs(past)
    assert_same(case, run(stage, changed)[:, :known], run(stage, signal)[:, :known])


def test_rows_of_a_batch_are_independent(case):
    stage = case.make()
    signal = samples(case, stage)
    assert_same(case, run(stage, signal[1:]), run(stage, signal)[1:])


def test_a_saved_state_resumes_equally(case):
    stage = case.make()
    first, second = np.split(samples(case, stage), 2, axis=1)
    _, state = stage.step(first, stage.initial_state(2))
    restored = unpack_state(pack_state(state), like=stage.initial_state(2))
    np.testing.assert_array_equal(stage.step(second, restored)[0], stage.step(second, state)[0])


@pytest.mark.parametrize("cut", [slice(0), slice(300), slice(7, None)])
def test_bytes_that_are_no_state_are_refused(cut):
    stage = chain()
    state = stage.initial_state(1)
    with pytest.raises(ValueError, match=r"Invalid state: .* bytes that are cut or changed"):
        unpack_state(pack_state(state)[cut], like=state)


@pytest.mark.parametrize("other", ["band-pass", "REST carried", "GRU", "Kalman with a lag"])
def test_the_state_of_something_else_is_refused(other):
    stage, another = chain(), CASES[other].make()
    for one, like in ((stage, another), (another, stage), (another, another)):
        batch = 2 if one is like else 1
        with pytest.raises(ValueError, match=r"Invalid state: .* must be one of the same decoder"):
            unpack_state(pack_state(one.initial_state(batch)), like=like.initial_state(1))


def test_a_state_does_not_hold_the_states_before_it(case):
    stage = case.make()
    chunk = samples(case, stage)[:, :3]
    _, before = stage.step(chunk, stage.initial_state(2))
    _, after = stage.step(chunk, before)
    for old, new in zip(arrays_of(before), arrays_of(after), strict=True):
        assert new is old or not np.shares_memory(new, old)


@pytest.mark.parametrize("wild", [np.inf, -np.inf, np.float32(1e38)])
def test_what_no_electrode_gives_is_as_what_is_not_there(case, wild):
    stage = Pipeline(case.make().layout, [case.make()])
    lost, signal = (samples(case, stage, flaws=False) for _ in range(2))
    place = case.length // 3
    lost[0, place, 0], signal[0, place, 0] = np.nan, wild
    np.testing.assert_array_equal(run(stage, signal), run(stage, lost))


def test_a_wrong_layout_is_refused_by_name(case):
    stage = case.make()
    signal = samples(case, stage)
    wrong = np.concatenate([signal, signal[:, :, :1]], axis=2)
    with pytest.raises(ValueError, match=f"Invalid chunk for .*{stage.layout.channels[0]}"):
        stage.step(wrong, stage.initial_state(2))


def test_a_gap_never_poisons_what_comes_after(case):
    stage = case.make()
    signal = samples(case, stage, flaws=False)
    signal[:, : case.length // 10] = np.nan
    output = run(stage, signal)
    answers = output[:, -1] if stage.output.unit != "s" else output[:, -1, :1]
    assert np.isfinite(answers).all()


def test_delay_is_a_number_of_seconds(case):
    assert 0 <= case.make().delay < 10


def test_delays_add_up_along_a_pipeline():
    pipeline = chain()
    assert pipeline.delay == pytest.approx(sum(stage.delay for stage in pipeline.stages))


def test_a_pipeline_refuses_stages_that_do_not_fit():
    with pytest.raises(ValueError, match="Invalid rate for Filter"):
        Pipeline(REFERENTIAL, [Filter(BIPOLAR)])
