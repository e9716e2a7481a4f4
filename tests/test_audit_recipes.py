"""Nothing leaks in any recipe of the package, and a fault planted in Ranvier itself is seen."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_recording
from scipy.signal import butter, sosfiltfilt

import ranvier as rv
from ranvier.__main__ import main
from ranvier.audit import recipe as audited
from ranvier.audit.changes import with_signal
from ranvier.audit.recipe import audit_recipe
from ranvier.fitting import select, with_threshold
from ranvier.recipe import Recipe, packaged_recipe
from ranvier.splits import PARTS_IN_TIME, Fold, cut_in_time, folds_in_time

FOLD = Fold(0, ("01", "02"), ("03",), ("04",))
RECIPES = sorted(path.stem for path in (Path(rv.__file__).parent / "recipes").glob("*.yaml"))
SECONDS = {"seizure": 100.0, "seizure_type": 100.0, "sleep": 600.0, "movement": 60.0}
TINY = {
    "arnn": {"window": 256, "segment": 32, "hidden": 6, "heads": 2, "head_size": 4},
    "attn_sleep": {"hidden": 8},
    "cct": {"window": 256, "filters": 4, "hidden": 8, "heads": 2},
    "cnn_lstm": {"window": 6, "filters": 3, "dense": 8, "hidden": 6},
    "dcrnn": {"window": 6, "hidden": 6},
    "gru": {"hidden": 8},
    "inception": {"pooling": ("max",), "upsample": 1, "double": False},
    "lstm": {"hidden": 6, "warm_up": 1},
    "r_transformer": {"window": 256, "hidden": 8, "heads": 2, "kernel": 3},
    "rest": {"hidden": 8},
    "temporal_attention_lstm": {"hidden": 8, "dense": 8},
    "transformer": {"window": 6, "hidden": 8, "heads": 2},
    "vit": {"window": 256, "hidden": 8, "heads": 2},
}
"""Settings that make the networks of the recipes small."""


def tiny(name: str) -> Recipe:
    task = next(task for task in sorted(SECONDS, key=len, reverse=True) if name.endswith(task))
    recipe = packaged_recipe(task, name.removesuffix(f"_{task}"))
    settings = {**recipe.network_settings, **TINY.get(recipe.network, {})}
    return replace(recipe, network_settings=settings)


@pytest.fixture(scope="module")
def patients():
    """Four of them, with a seizure of a known type each."""
    made = [make_recording(f"0{n}", seconds=150) for n in (1, 2, 3, 4)]
    labels = ("sz_foc_f", "sz_gen_m") * 2

    def typed(one, label):
        items = tuple(replace(event, label=label) for event in one.events)
        return replace(one, events=replace(one.events, items=items))

    return [typed(one, label) for one, label in zip(made, labels, strict=True)]


@pytest.fixture(scope="module")
def data(patients):
    """Recordings and a fold of them for each task."""
    reaches = rv.simulate_reaches(subjects=1, minutes=1, units=20)
    (in_time,) = folds_in_time([one.subject for one in cut_in_time(reaches, PARTS_IN_TIME)])
    nights = rv.simulate_nights(subjects=4, hours=0.25)
    sick = (patients, FOLD)
    return {
        "seizure": sick,
        "seizure_type": sick,
        "sleep": (nights, FOLD),
        "movement": (reaches, in_time),
    }


QUICK = ("rest_seizure", "kalman_movement", "wiener_movement", "gru_movement")
MARKED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES]


@pytest.mark.parametrize("name", MARKED)
def test_nothing_leaks_in_a_recipe_of_the_package(name, data):
    recipe = tiny(name)
    recordings, fold = data[recipe.task]
    verdict = audit_recipe(recordings, recipe, fold, seconds=SECONDS[recipe.task])
    assert verdict.faults == []
    assert verdict.unasked == {}


def faults(name: str, data) -> list[str]:
    recipe = tiny(name)
    recordings, fold = data[recipe.task]
    return [one.name for one in audit_recipe(recordings, recipe, fold, seconds=80.0).faults]


def test_a_threshold_chosen_on_the_test_part_is_seen(data, monkeypatch):
    fit = audited.fit_decoder

    def on_test(prepared, fold, *rest):
        decoder, fitted = fit(prepared, fold, *rest)
        return with_threshold(decoder, select(prepared, fold.test)), fitted

    monkeypatch.setattr(audited, "fit_decoder", on_test)
    assert faults("rest_seizure", data) == ["threshold from the test part"]


@pytest.mark.parametrize(
    ("name", "first"), [("rest_seizure", "class weights"), ("lstm_seizure", "scaling")]
)
def test_what_is_fitted_to_everyone_is_seen(data, monkeypatch, name, first):
    monkeypatch.setattr("ranvier.fitting.select", lambda prepared, subjects: list(prepared))
    assert faults(name, data) == [f"{first} from the test part"]


def whole_scaled(signal):
    return (signal - signal.mean(axis=0)) / (signal.std(axis=0) + 1e-6)


def zero_phase(signal):
    return sosfiltfilt(butter(2, 2.0, fs=20, output="sos"), signal, axis=0)


def preparing(change):
    """Return the preparation of recordings with something done to whole signals before."""
    prepare = audited.prepare_annotated

    def changed(recordings, *rest):
        return prepare([with_signal(one, change) for one in recordings], *rest)

    return changed


@pytest.mark.parametrize(
    ("change", "name"),
    [(whole_scaled, "whole-recording scaling"), (zero_phase, "zero-phase filter")],
)
def test_what_looks_ahead_before_the_stages_is_seen(data, monkeypatch, change, name):
    monkeypatch.setattr(audited, "prepare_annotated", preparing(change))
    assert faults("wiener_movement", data) == [name]


def evaluated(tmp_path, *more) -> int:
    """Run the command on a short recording of reaches."""
    data = tmp_path / "data"
    if not data.exists():
        main(["simulate", "movement", str(data), "--subjects=1", "--minutes=1", "--units=20"])
    options = ["--task=movement", "--network=wiener", f"--data={data}", f"--out={tmp_path}/out"]
    return main(["evaluate", *options, *more])


def test_the_verdict_is_printed_and_in_every_certificate(tmp_path, capsys):
    assert evaluated(tmp_path, "--audit") == 0
    verdict = "fold 1, solved, 3 recordings of up to 38 s, 6 probes, nothing leaks"
    assert f"audited: {verdict}" in capsys.readouterr().out
    (certificate,) = json.loads((tmp_path / "out" / "scores.json").read_text())["certificates"]
    decoder = rv.load(tmp_path / "out" / "fold-0" / "decoder.ranvier", check=True)
    assert certificate["audit"] == decoder.provenance["certificate"]["audit"]
    assert certificate["audit"]["verdict"] == f"audited: {verdict}"
    assert f"Audited: {verdict}." in (tmp_path / "out" / "report.html").read_text()


def test_without_an_audit_the_report_says_so(tmp_path):
    assert evaluated(tmp_path) == 0
    assert "Not audited." in (tmp_path / "out" / "report.html").read_text()


def test_a_leak_makes_the_exit_code_1(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(audited, "prepare_annotated", preparing(whole_scaled))
    assert evaluated(tmp_path, "--audit") == 1
    assert "found: whole-recording scaling" in capsys.readouterr().out


def test_a_verdict_is_still_there_when_finished_folds_are_read_again(tmp_path):
    assert evaluated(tmp_path, "--audit") == 0
    assert evaluated(tmp_path) == 0
    assert "nothing leaks" in (tmp_path / "out" / "report.html").read_text()
