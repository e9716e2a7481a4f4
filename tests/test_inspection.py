"""What is wrong in a signal is named, nothing else is, and a clean file is silent."""

from dataclasses import replace
from datetime import datetime

import edfio
import numpy as np
import pytest

import ranvier as rv
from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY, pick
from ranvier.formats import write_binned
from ranvier.inspection import KINDS, inspect
from ranvier.inspection.samples import look
from ranvier.recording import Recording

START = datetime(2019, 5, 6, 21, 30)
RATE, SECONDS = 256, 40


def make(
    subject="01", *, seed=0, rate=RATE, seconds=SECONDS, channels=TEN_TWENTY, **known
) -> Recording:
    """Noise of 20 µV, as wide as EEG, of which the leads share a part, with one seizure."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(0, 18, (seconds * rate, len(channels)))
    signal += rng.normal(0, 9, (seconds * rate, 1))
    events = rv.Events.from_intervals([(10, 20)], seconds)
    known = {"subject": subject, "start": START, "events": events, **known}
    return Recording.from_array(signal, rate, channels, **known)


def with_signal(one: Recording, signal, channels=None) -> Recording:
    layout = rv.Layout(tuple(channels or one.layout.channels), one.layout.rate)
    values = np.asarray(signal, np.float32)
    return replace(one, layout=layout, reader=lambda first, last: values[first:last])


def changed(place, change):
    """Change one channel, or all of them where the place is a slice."""

    def plant(one):
        signal = one.read().astype(float)
        signal[:, place] = change(signal[:, place])
        return with_signal(one, signal)

    return plant


def hum(hertz):
    wave = 60 * np.sin(2 * np.pi * hertz * np.arange(SECONDS * RATE) / RATE)
    return changed(3, lambda lead: lead + wave)


def copied(one):
    signal = one.read()
    signal[:, 4] = signal[:, 9]
    return with_signal(one, signal)


def bipolar(one):
    ways = [derivation.terms for derivation in pick(TEN_TWENTY, "double_banana").derivations]
    signal = one.read()
    derived = [sum(sign * signal[:, place] for place, sign in way) for way in ways]
    return with_signal(one, np.stack(derived, axis=1), DOUBLE_BANANA)


def more_channels(*names):
    def plant(one):
        signal = np.concatenate(
            [one.read(), make(seed=10 + int(one.subject)).read()[:, : len(names)]], axis=1
        )
        return with_signal(one, signal, (*one.layout.channels, *names))

    return plant


def off_for_a_while(lead):
    lead[len(lead) // 2 :] = 3.0
    return lead


PLANTS = [
    ("gain", changed(slice(None), lambda all_: all_ * 1e-3)),
    ("gain", changed(slice(None), lambda all_: all_ * 1e3)),
    ("gain_repaired", changed(slice(None), lambda all_: all_ * 1e-6)),
    ("gain_between_channels", changed(3, lambda lead: lead * 1e3)),
    ("flat", changed(4, lambda lead: lead * 0 + 5)),
    ("flat", changed(5, off_for_a_while)),
    ("clipped", changed(6, lambda lead: np.clip(lead, -15, 15))),
    ("mains", hum(50)),
    ("mains", hum(60)),
    ("duplicate_channel", copied),
    ("polarity", lambda one: changed(2, np.negative)(bipolar(one))),
    ("missing_leads", lambda one: with_signal(one, one.read()[:, 1:], TEN_TWENTY[1:])),
    ("channel_name", more_channels("Blorp", "12")),
    ("rate_too_low", lambda one: make(rate=128)),
]


def kinds(path) -> list[str]:
    return [one.kind for one in inspect(path).findings]


@pytest.mark.parametrize(("kind", "plant"), PLANTS)
def test_what_is_planted_is_named_and_nothing_else(tmp_path, kind, plant):
    rv.write_bids(tmp_path / "data", [plant(make())])
    assert kinds(tmp_path / "data") == [kind]


@pytest.mark.parametrize(
    "plant",
    [lambda one: one, bipolar, more_channels("ECG", "EOG left", "-"), changed(0, np.negative)],
)
def test_a_clean_file_is_silent(tmp_path, plant):
    rv.write_bids(tmp_path / "data", [plant(make()), plant(make("02", seed=1))])
    assert kinds(tmp_path / "data") == []
    assert "Nothing looks wrong." in str(inspect(tmp_path / "data"))


def test_a_factor_that_would_be_plausible_is_named(tmp_path):
    rv.write_bids(tmp_path / "data", [changed(slice(None), lambda all_: all_ * 1e-3)(make())])
    assert "1000 times that would be plausible" in inspect(tmp_path / "data").findings[0].sentence


def test_the_turned_derivation_is_named(tmp_path):
    rv.write_bids(tmp_path / "data", [changed(12, np.negative)(bipolar(make()))])
    assert inspect(tmp_path / "data").findings[0].sentence.startswith(DOUBLE_BANANA[12])


def test_the_channels_that_are_concerned_are_named(tmp_path):
    rv.write_bids(tmp_path / "data", [changed(4, lambda lead: lead * 0 + 5)(make())])
    (found,) = inspect(tmp_path / "data").findings
    assert found.sentence == f"channels do not change ever: {TEN_TWENTY[4]}"


def average_reference(one):
    return with_signal(one, one.read() - one.read().mean(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (lambda one: one, "unknown, the same for all"),
        (bipolar, "bipolar, by the names"),
        (average_reference, "average, by the signal"),
        (changed(TEN_TWENTY.index("Cz"), np.zeros_like), "Cz, stored as zeros, by the signal"),
    ],
)
def test_the_reference_is_guessed_by_names_and_signal(tmp_path, plant, said):
    rv.write_bids(tmp_path / "data", [plant(make())])
    inspection = inspect(tmp_path / "data")
    assert inspection.recordings[0].leads.reference == said
    assert not inspection.findings


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("-A2", "referential against A2, by the names"),
        ("-LE", "referential against LE, by the names"),
        ("-Avg", "average (AVG), by the names; what is here does not sum to zero"),
    ],
)
def test_the_reference_that_names_tell_is_said(tmp_path, ending, said):
    rv.write_bids(tmp_path / "data", [make(channels=[f"EEG {one}{ending}" for one in TEN_TWENTY])])
    assert inspect(tmp_path / "data").recordings[0].leads.reference == said


def test_names_are_told_as_understood_and_as_written(tmp_path):
    channels = [f"EEG {lead.upper()}-REF" for lead in TEN_TWENTY]
    rv.write_bids(tmp_path / "data", [more_channels("ECG")(make(channels=channels))])
    (one,) = inspect(tmp_path / "data").recordings
    assert one.leads.understood[0] == ("Fp1", "EEG FP1-REF")
    assert one.leads.left_out == ("no electrode of the scalp: ECG",)


def test_what_can_be_decoded_is_said(tmp_path):
    rv.write_bids(tmp_path / "data", [make()])
    seizure, sleep = inspect(tmp_path / "data").recordings[0].leads.serves
    assert seizure == "seizure (18 of 18 derivations of the double banana)"
    assert sleep.startswith("sleep (19 EEG channels: Fp1, F3, C3")


@pytest.mark.parametrize(
    ("channels", "found"),
    [
        (("ECG", "EMG chin"), {"nothing_decodable"}),
        (("one", "two"), {"channel_name", "nothing_decodable"}),
    ],
)
def test_without_a_channel_for_any_task_nothing_can_be_decoded(tmp_path, channels, found):
    rv.write_bids(tmp_path / "data", [make(channels=channels, events=rv.Events((), SECONDS))])
    inspection = inspect(tmp_path / "data")
    assert {one.kind for one in inspection.findings} == found
    assert not inspection.is_usable


def test_the_gaps_of_a_discontinuous_file_are_counted(tmp_path):
    one = make(seconds=30)
    signals = [
        edfio.EdfSignal(lead, RATE, label=name, physical_dimension="uV")
        for name, lead in zip(TEN_TWENTY, one.read().T.astype(float), strict=True)
    ]
    path = tmp_path / "gaps.edf"
    note = edfio.EdfAnnotation(5, 10, "seizure")
    recorded = edfio.Recording(startdate=START.date())
    edf = edfio.Edf(signals, annotations=[note], recording=recorded, starttime=START.time())
    edf.write(path)
    content = path.read_bytes().replace(b"EDF+C", b"EDF+D", 1)
    for second in range(10, 30):
        content = content.replace(b"+%d\x14\x14" % second, b"+%d\x14\x14" % (second + 50))
    path.write_bytes(content)
    (found,) = inspect(path).findings
    assert found.kind == "gap"
    assert found.sentence == "1 gaps between records, 50 s in all, are NaN"


def test_samples_that_are_not_valid_are_found_without_a_gap_in_the_file():
    from ranvier.inspection.signal import check_signal

    signal = make().read()
    signal[1000:4000] = np.nan
    (found,) = check_signal(look(with_signal(make(), signal)), "here")
    assert found.kind == "not_valid"


def test_a_long_recording_is_looked_at_in_places_only():
    read = []

    def reader(first, last):
        read.append(last - first)
        return np.random.default_rng(first).normal(0, 20, (last - first, 1)).astype(np.float32)

    day = Recording(rv.Layout(("Cz",), 100.0), 24 * 3600 * 100, reader)
    assert look(day).seconds == 600
    assert read == [1000] * 60


def test_a_signal_of_a_second_is_not_looked_at():
    assert look(make().until(1)) is None


def test_spikes_are_described_and_not_looked_at(tmp_path):
    counts = np.random.default_rng(0).poisson(1, (400, 5))
    moved = rv.Trajectory(np.zeros((400, 2), np.float32), 20.0, 20.0, first=0.05)
    known = {"subject": "m", "trajectory": moved}
    one = Recording.from_array(counts, 20, list("abcde"), unit="count", **known)
    write_binned(tmp_path / "one.npz", one)
    inspection = inspect(tmp_path / "one.npz")
    assert inspection.recordings[0].leads.serves == ("movement (5 units, with what moved)",)
    assert not inspection.findings


def test_every_kind_is_documented():
    from pathlib import Path

    page = (Path(__file__).parents[1] / "docs" / "inspect.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
