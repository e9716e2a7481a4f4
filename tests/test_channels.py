"""Names of electrodes, and which derivations a file can give."""

import numpy as np
import pytest

from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY, parse_channel, pick, position
from ranvier.recording import Layout
from ranvier.signal import DeriveMontage

CHB_MIT = (
    "FP1-F7 F7-T7 T7-P7 P7-O1 FP1-F3 F3-C3 C3-P3 P3-O1 FP2-F4 F4-C4 C4-P4 P4-O2 FP2-F8 F8-T8 "
    "T8-P8 P8-O2 FZ-CZ CZ-PZ P7-T7 T7-FT9 FT9-FT10 FT10-T8 T8-P8 - ECG VNS"
).split()


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("EEG FP1-REF", "Fp1"),
        ("Fp1-Avg", "Fp1"),
        ("EEG T3-LE", "T3"),
        ("T7", "T3"),
        ("T8-P8", "T4-T6"),
        ("T8-P8-0", "T4-T6"),
        ("EEG Fpz-Cz", "Fpz-Cz"),
        ("  cz ", "Cz"),
        ("EEG C3-A2", "C3-A2"),
        ("EEG Fp1 Ref", "Fp1"),
        ("EEG_Fp1_REF", "Fp1"),
        ("Fp1-G2", "Fp1"),
        ("Fp1-Vref", "Fp1"),
        ("Fp1-average", "Fp1"),
        ("Fc5.", "FC5"),
        ("C3..", "C3"),
        ("EEG Fpz Cz", "Fpz-Cz"),
    ],
)
def test_aliases_and_decorations_are_one_name(label, name):
    assert parse_channel(label).name == name


@pytest.mark.parametrize("label", ["-", "", "ECG", "VNS", "SpO2", "EDF Annotations", "Fp1-ECG"])
def test_what_is_no_electrode_is_ignored(label):
    assert parse_channel(label) is None


def test_chb_mit_gives_the_whole_double_banana_and_says_what_stands_twice():
    coverage = pick(CHB_MIT, "double_banana")
    assert coverage.missing == ()
    assert coverage.duplicates == ("T8-P8",)
    assert coverage.ignored == ("-", "ECG", "VNS")


def test_the_first_of_two_equal_channels_is_used():
    used = {index for one in pick(CHB_MIT, "double_banana").derivations for index, _ in one.terms}
    assert 14 in used
    assert 22 not in used


def test_a_missing_lead_is_reported_with_its_derivations():
    leads = [lead for lead in TEN_TWENTY if lead != "C3"]
    coverage = pick(leads, "double_banana")
    assert coverage.missing == ("F3-C3", "C3-P3")
    assert coverage.notes() == (
        "2 of 18 derivations cannot be formed and are left out: F3-C3, C3-P3",
    )


def test_no_usable_lead_is_an_error():
    with pytest.raises(ValueError, match="No usable lead"):
        pick(["ECG", "SpO2"], "double_banana")


def test_an_unknown_montage_is_an_error():
    with pytest.raises(ValueError, match="Invalid montage: 'laplacian', possible options"):
        pick(TEN_TWENTY, "laplacian")


def test_different_references_are_never_mixed():
    assert "Fp1-F3" in pick(["Fp1-REF", "F3-LE", "C3-LE"], "double_banana").missing


def test_referential_and_bipolar_files_give_the_same_derivations():
    rng = np.random.default_rng(0)
    leads = rng.integers(-100, 100, (1, 50, 19)).astype(np.float32)
    referential = DeriveMontage(Layout(TEN_TWENTY, 256.0))
    derived, _ = referential.step(leads, ())
    names = [f"{b}-{a}" for a, b in (name.split("-") for name in DOUBLE_BANANA)]
    bipolar = DeriveMontage(Layout(tuple(names), 256.0))
    np.testing.assert_array_equal(bipolar.step(-derived, ())[0], derived)


def test_a_derivation_is_composed_of_others_where_that_is_exact():
    coverage = pick(["Fp1-C3", "F3-C3"], "double_banana")
    assert coverage.derivations[0].terms == ((0, 1), (1, -1))


def test_electrodes_lie_where_they_are_on_a_head():
    assert position("O1")[1] < 0 < position("Fp1")[1]
    assert position("T7")[0] < 0 < position("T8")[0]
    np.testing.assert_allclose(position("Cz"), [0, 0, 1], atol=1e-12)


def test_electrodes_lie_where_mne_has_them_on_a_spherical_cap():
    mne = pytest.importorskip("mne")
    standard = mne.channels.make_standard_montage("easycap-M1").get_positions()["ch_pos"]
    names = [name for name in TEN_TWENTY if name in standard]
    theirs = np.array([standard[name] for name in names])
    theirs -= theirs.mean(axis=0)
    ours = np.array([position(name) for name in names])
    cosine = (theirs @ (ours - ours.mean(axis=0)).T).diagonal()
    lengths = np.linalg.norm(theirs, axis=1) * np.linalg.norm(ours - ours.mean(axis=0), axis=1)
    assert (cosine / lengths > 0.95).all()
