"""One decoder for referential and bipolar recordings, also where leads are missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_recording
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import ranvier as rv
from ranvier.__main__ import main
from ranvier.channels import ANGLES, DOUBLE_BANANA, TEN_TWENTY, pick
from ranvier.missing_leads import cost_of_missing, without_leads
from ranvier.networks import make_network
from ranvier.recording import Layout, Recording
from ranvier.signal import DeriveMontage
from ranvier.simulate import simulate_seizures

NEWER = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
STEP, RANGE = 1 / 8, (-4096.0, 4095.875)
"""With 16 bits over this range every multiple of 1/8 µV is stored as it is."""

WRITINGS = {
    "TUSZ, 01_tcp_ar": "EEG {upper}-REF",
    "TUSZ, 02_tcp_le": "EEG {upper}-LE",
    "Helsinki": "EEG {lead}-Ref",
    "Siena": "EEG {lead}",
    "SzCORE": "{lead}-Avg",
    "average": "EEG {lead}-AR",
    "CHB-MIT, chb12_27": "{newer}-CS2",
    "newer names": "EEG {newer}-REF",
    "linked ears": "{lead}-A1+A2",
    "half the sum of the ears": "{lead} - (A1+A2)/2",
    "numbered by a reader": "{lead}-REF-0",
    "names alone": "{upper}",
    "one ear": "{lead}-A2",
}
OTHERS = (
    "EEG EKG1-REF", "EEG T1-REF", "EEG 20-REF", "EEG ROC-REF", "PHOTIC-REF", "IBI", "BURSTS", "-",
    "SPO2", "HR", "EKG EKG", "MK", "VNS",
)  # fmt: skip


def written(form: str, lead: str) -> str:
    return form.format(lead=lead, upper=lead.upper(), newer=NEWER.get(lead, lead).upper())


def derived(signal: np.ndarray, labels: list[str], montage: str = "double_banana") -> np.ndarray:
    stage = DeriveMontage(Layout(tuple(labels), 256.0), montage)
    return stage.step(signal[None], ())[0][0]


def potentials(samples: int = 20) -> dict[str, np.ndarray]:
    """Whole numbers, so that sums are exact."""
    rng = np.random.default_rng(0)
    places = (*ANGLES, "REF", "LE", "AVG", "")
    return {place: rng.integers(-999, 999, samples).astype(np.float32) for place in places}


def expected() -> np.ndarray:
    known = potentials()
    ends = [name.split("-") for name in DOUBLE_BANANA]
    return np.stack([known[one] - known[other] for one, other in ends], axis=1)


def stored_as(recording: Recording, montage: str) -> Recording:
    stage = DeriveMontage(recording.layout, montage)
    signal = stage.step(recording.read()[None], ())[0][0]
    return Recording.from_array(
        signal,
        recording.layout.rate,
        stage.output.channels,
        name=recording.name,
        subject=recording.subject,
        events=recording.events,
    )


def on_steps(recording: Recording) -> Recording:
    """Round to what EDF can hold exactly."""
    return replace(recording, reader=lambda a, b: np.round(recording.reader(a, b) / STEP) * STEP)


def untrained(network: str, **network_settings) -> rv.Decoder:
    """A decoder that says something everywhere and is as sharp as one that was trained."""
    stages = (
        {"stage": "mark_flat", "seconds": 2.0},
        {"stage": "derive_montage", "montage": "double_banana"},
        {"stage": "resample", "rate_out": 128.0},
        {"stage": "filter", "low": 0.5, "high": 40.0},
        {"stage": "standardise", "mean": [0.0], "deviation": [30.0]},
    )
    torch.manual_seed(0)
    module = make_network(network, DOUBLE_BANANA, network_settings)
    module.rescale(5.0, 0.0)
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    return rv.Decoder("seizure", stages, DOUBLE_BANANA, 128.0, network, network_settings, weights)


ON_SAMPLES = {
    "arnn": {"window": 128, "segment": 16, "hidden": 6, "heads": 2, "head_size": 4},
    "lstm": {"memory": "carry", "segment": 32, "hidden": 8},
}


@pytest.fixture(scope="module", params=["rest", *ON_SAMPLES])
def detector(request) -> rv.Decoder:
    """REST, trained; or a small network on plain samples."""
    if request.param == "rest":
        return request.getfixturevalue("decoder")
    return untrained(request.param, **ON_SAMPLES[request.param])


def assert_same(detector: rv.Decoder, one: Recording, other: Recording) -> None:
    """Compare probabilities, and events at a threshold that half of the outputs reach."""
    first, second = detector.predict(one), detector.predict(other)
    assert first.valid.sum() > 10
    np.testing.assert_allclose(first.values, second.values, rtol=0, atol=1e-6)
    middle = float(np.nanmedian(first.probability)) + 1e-5
    jumpy = rv.AlarmRule(middle, release=1, minimum_seconds=0, merge_seconds=0)
    found = [one.decided_by(jumpy).events.intervals() for one in (first, second)]
    assert len(found[0]) > 1
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(first.events.intervals(), second.events.intervals())


@pytest.mark.parametrize("form", WRITINGS.values(), ids=WRITINGS)
def test_however_leads_are_written_the_derivations_are_the_same(form):
    known, labels = potentials(), [*OTHERS, *(written(form, lead) for lead in TEN_TWENTY)]
    signal = np.stack([np.full(20, np.nan)] * len(OTHERS) + [known[a] for a in TEN_TWENTY], axis=1)
    np.testing.assert_array_equal(derived(signal, labels), expected())
    assert pick(labels, "double_banana").ignored == OTHERS


@pytest.mark.parametrize("turned", [False, True], ids=["as it is", "the other way round"])
def test_bipolar_files_in_newer_names_give_the_same_derivations(turned):
    ends = [[NEWER.get(end, end) for end in name.split("-")] for name in DOUBLE_BANANA]
    labels = ["-".join(reversed(pair) if turned else pair).upper() for pair in ends]
    signal = -expected() if turned else expected()
    np.testing.assert_array_equal(derived(signal, labels), expected())


def test_extra_leads_and_an_average_that_holds_them_change_nothing():
    known, more = potentials(), ("Oz", "FC1", "CP6", "TP9")
    leads = (*TEN_TWENTY, *more)
    signal = np.stack([known[lead] - known["AVG"] for lead in leads], axis=1)
    labels = [f"EEG {lead}-Avg" for lead in leads]
    np.testing.assert_array_equal(derived(signal, labels), expected())


@pytest.mark.parametrize(
    ("labels", "terms"),
    [
        (["Fp1-T3", "Fp1-F7"], ((1, -1), (0, 1))),
        (["T3-Fp1", "F7-Fp1"], ((1, 1), (0, -1))),
        (["F7-C3", "C3-P3", "P3-T3"], ((0, 1), (1, 1), (2, 1))),
        (["F7-C3", "C3-T3", "T3-F7"], ((2, -1),)),
        (["F7-Cz", "F7-Pz", "Pz-T3", "Cz-T3"], ((0, 1), (3, 1))),
        (["F7-A1", "T3-REF", "A1-REF"], ((0, 1), (2, 1), (1, -1))),
        (["F7-LE", "T3-REF", "F7-REF", "T3-LE"], ((0, 1), (3, -1))),
        (["F7-REF", "EEG F7-REF", "T3-REF"], ((0, 1), (2, -1))),
    ],
)
def test_a_derivation_is_the_shortest_sum_of_channels_and_the_first_of_equals(labels, terms):
    (found,) = [one for one in pick(labels, "double_banana").derivations if one.name == "F7-T3"]
    assert found.terms == terms


@pytest.mark.parametrize(
    "labels",
    [
        ["F7-REF", "T3-LE"],
        ["F7-REF", "T3"],
        ["F7-AVG", "T3-REF"],
        ["F7-A1", "T3-A2"],
        ["F7-A1", "T3-A1A2"],
        ["F7-C3", "T3-C4"],
    ],
)
def test_a_difference_that_is_not_known_is_never_formed(labels):
    assert "F7-T3" in pick([*labels, "Fz-Cz"], "double_banana").missing


def test_a_note_says_that_references_differ():
    coverage = pick(["F7-REF", "T3", "T5-REF", "Fp1-REF"], "double_banana")
    assert coverage.references == ("REF", "")
    assert "channels against different references are not combined: REF, none named" in (
        coverage.notes()
    )


def test_the_referential_montage_keeps_to_the_reference_of_most_leads():
    labels = ["Fp1-LE", "F3-REF", "C3-REF", "P3-C3", "O1"]
    formed = {one.name: one.terms for one in pick(labels, "referential").derivations if one.terms}
    assert formed == {"F3": ((1, 1),), "C3": ((2, 1),), "P3": ((3, 1), (2, 1))}


def test_bipolar_channels_have_no_reference_to_form_leads_against():
    with pytest.raises(ValueError, match="none of the 19 channels of the referential montage"):
        pick(DOUBLE_BANANA, "referential")


PLACES = st.sampled_from((*TEN_TWENTY, "A1", "Oz"))
CHANNELS = st.lists(
    st.tuples(PLACES, st.one_of(PLACES, st.sampled_from(("REF", "LE", "AVG", "")))),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, max_examples=200)
@given(CHANNELS)
def test_every_difference_that_follows_from_the_channels_is_formed_exactly_and_no_other(channels):
    known = potentials()
    signal = np.stack([known[one] - known[other] for one, other in [*channels, ("Fz", "Cz")]], 1)
    labels = [f"{one}-{other}".rstrip("-") for one, other in [*channels, ("Fz", "Cz")]]
    island = islands([*channels, ("Fz", "Cz")])
    follows = [island[one] == island[other] for one, other in map(str.split, SPACED)]
    result = np.where(follows, expected(), np.nan)
    np.testing.assert_array_equal(derived(signal, labels), result)


SPACED = [name.replace("-", " ") for name in DOUBLE_BANANA]


def islands(channels: list[tuple[str, str]]) -> dict[str, int]:
    """Number the sets of places that channels connect."""
    places = list(potentials())
    ends = np.array([[places.index(end) for end in channel] for channel in channels]).T
    graph = coo_array((np.ones(len(channels)), (*ends,)), shape=(len(places),) * 2)
    return dict(zip(places, connected_components(graph, directed=False)[1].tolist(), strict=True))


def test_a_recording_gives_the_same_answer_in_either_form(detector):
    assert_same(detector, *(stored_as(make_recording("09"), one) for one in MONTAGES))


MONTAGES = ("referential", "double_banana")


def test_a_simulated_recording_gives_the_same_answer_in_either_form(detector):
    made = [simulate_seizures(subjects=1, minutes=3, montage=montage) for montage in MONTAGES]
    assert_same(detector, *(one for (one,) in made))


def test_edf_files_of_either_form_with_equal_steps_give_the_same_answer(detector, tmp_path):
    recording = on_steps(simulate_seizures(subjects=1, minutes=3)[0])
    files = []
    for montage in MONTAGES:
        one, path = stored_as(recording, montage), tmp_path / f"{montage}.edf"
        files.append(rv.write_edf(path, one.read(), one.layout, physical_range=RANGE))
        np.testing.assert_array_equal(rv.read(path)[0].read(), one.read())
    assert_same(detector, *(replace(rv.read(file)[0], name="one") for file in files))


def simulated_files(folder: Path, montage: str) -> list[Recording]:
    words = ["simulate", "seizure", folder / montage, "--subjects=2", "--minutes=3"]
    assert main([*map(str, words), f"--montage={montage}"]) == 0
    return rv.read(folder / montage)


def test_files_as_they_are_simulated_give_the_same_events(decoder, tmp_path):
    """Each form has rounding steps of its own, so that probabilities differ a little."""
    for one, other in zip(*(simulated_files(tmp_path, form) for form in MONTAGES), strict=True):
        first, second = decoder.predict(one), decoder.predict(other)
        np.testing.assert_allclose(first.probability, second.probability, rtol=0, atol=0.01)
        np.testing.assert_array_equal(first.events.intervals(), second.events.intervals())


MISSING = {
    "one": ["T3"],
    "three in a row": ["F7", "T3", "T5"],
    "three apart": ["Fp1", "C4", "Pz"],
    "six around a focus": ["Fp1", "F7", "F3", "T3", "C3", "T5"],
    "six that leave a third": ["F3", "P3", "F4", "P4", "T3", "T4"],
    "six of the front": ["Fp1", "Fp2", "F7", "F3", "F4", "F8"],
}


@pytest.mark.parametrize("leads", MISSING.values(), ids=MISSING)
def test_with_leads_missing_it_answers_and_the_same_in_either_form(detector, leads):
    forms = [stored_as(make_recording("09"), one) for one in MONTAGES]
    assert_same(detector, *(without_leads(one, leads) for one in forms))


def test_a_lead_that_is_nan_counts_as_one_that_is_not_there(detector):
    recording = stored_as(make_recording("09"), "referential")
    signal = recording.read()
    signal[:, [TEN_TWENTY.index(lead) for lead in ("F7", "T3")]] = np.nan
    dead = replace(recording, reader=lambda first, last: signal[first:last])
    assert_same(detector, without_leads(recording, ["F7", "T3"]), dead)


def test_notes_of_a_file_say_what_was_missing(decoder, tmp_path):
    recording = without_leads(make_recording("09"), ["F7", "T7"])
    file = rv.write_edf(tmp_path / "one.edf", recording.read(), recording.layout)
    (note,) = decoder.predict(rv.read(file)[0]).notes[-1:]
    assert note.endswith("and are left out: Fp1-F7, F7-T3, T3-T5")


def test_leaving_leads_out_has_a_cost_in_plain_words(decoder):
    recordings = [make_recording(name) for name in ("08", "09")]
    cost = cost_of_missing(decoder, recordings, ["T4", "T6", "O2"])
    areas = [one.pooled.auroc for one in (cost.without, cost.whole)]
    assert cost.differences["auroc"].value == pytest.approx(areas[0] - areas[1], abs=1e-12)
    assert cost.differences["auroc"].low <= cost.differences["auroc"].high
    assert str(cost).startswith("Without T4, T6, O2: ")


def test_a_rate_of_false_alarms_is_told_from_an_hour_of_background_on(decoder):
    cost = cost_of_missing(decoder, [make_recording("09")], ["T4"])
    assert str(cost).endswith(
        "false alarms a day not measurable in less than an hour of background"
    )


def test_whom_the_decoder_has_learnt_from_is_said(decoder):
    cost = cost_of_missing(decoder, [make_recording("01"), make_recording("09")], ["T4"])
    assert str(cost).endswith(". The decoder has learnt from 01")


def test_one_subject_has_a_cost_without_an_interval(decoder):
    text = str(cost_of_missing(decoder, [make_recording("09")], ["T4"]))
    assert "1 instead of 1 of 1 seizures found" in text
    assert "nan" not in text


def test_leaving_out_nothing_costs_nothing(decoder):
    cost = cost_of_missing(decoder, [make_recording("08"), make_recording("09")], [])
    assert set(cost.differences.values()) == {(0.0, 0.0, 0.0)}


def test_what_is_no_lead_cannot_be_left_out():
    with pytest.raises(ValueError, match="Invalid lead: 'ECG'"):
        without_leads(make_recording("09"), ["ECG"])


def test_what_it_costs_is_measured_on_annotated_recordings(decoder):
    unknown = replace(make_recording("09"), events=None)
    with pytest.raises(ValueError, match=f"Invalid recordings: {unknown.name}, must be annotated"):
        cost_of_missing(decoder, [unknown], ["T4"])


@pytest.mark.real
def test_a_decoder_of_referential_recordings_answers_real_bipolar_files(decoder, real):
    for clip in rv.read(real / "chbmit_clips"):
        prediction, notes = decoder.predict(clip), decoder.coverage_notes(clip.layout)
        assert prediction.site_names == DOUBLE_BANANA
        assert notes == ["the first of several channels was used for: T8-P8"]
        assert prediction.valid[4:].all()
