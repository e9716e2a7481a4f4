"""Typing of seizures: codes, targets, what is decided, scores, and the whole way."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

import ranvier as rv
from ranvier.__main__ import main
from ranvier.decisions import TypeRule, make_decision
from ranvier.decoding import Prediction, rule_as_dict, rule_from
from ranvier.fold_files import keep_truth, read_truth
from ranvier.live.runner import certify
from ranvier.recipe import Recipe, packaged_recipe
from ranvier.scoring import score_predictions
from ranvier.seizure_types import LABEL_SETS, TypedSeizures, code_of
from ranvier.tasks import make_task
from ranvier.tasks.seizure_type import TypeScore
from ranvier.truth import Event, Events

KINDS = ("focal", "generalised", "absence", "tonic")
NAMES = tuple(LABEL_SETS["combined"])
BEFORE = [
    (1041.98, 62.82, "sz"), (284.93, 59.18, "sz"), (1117.5, 67.47, "sz"),
    (374.13, 63.23, "sz"), (727.56, 69.2, "sz"), (1288.91, 20.41, "sz"),
]  # fmt: skip
QUICK = rv.Training(
    passes=3, stretch=60, segment=30, batch=4, learning_rate=5e-3, background=0, patience=10
)


def typed(*events: tuple[float, float, str], label_set: str = "combined") -> TypedSeizures:
    items = tuple(Event(start, stop - start, label) for start, stop, label in events)
    return TypedSeizures.of(Events(items, 100.0), label_set)


def predicted(classes: list[float], *, sure: float = 0.7) -> Prediction:
    """Seconds that are most probably of these classes, NaN for none."""
    rule = TypeRule(NAMES)
    numbers = np.array(classes, dtype=float)
    values = np.full((len(numbers), len(NAMES)), (1 - sure) / 3)
    known = ~np.isnan(numbers)
    values[known, numbers[known].astype(int)] = sure
    values[~known] = np.nan
    times = np.arange(1.0, len(numbers) + 1)
    empty = np.zeros((len(numbers), 0))
    one = Prediction("a", "1", 100.0, 1.0, times, values, empty, empty, (), rule)
    return one.decided_by(rule)


@pytest.fixture(scope="module")
def patients() -> list[rv.Recording]:
    return rv.simulate_seizures(subjects=3, minutes=6, types=KINDS)


@pytest.fixture(scope="module")
def evaluation(patients) -> rv.Evaluation:
    recipe = replace(
        packaged_recipe("seizure_type", "rest"),
        training=QUICK,
        network_settings={"memory": "carry"},
    )
    return rv.evaluate("seizure_type", patients, recipe=recipe, only=0)


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("FNSZ", "FNSZ"), ("tcsz", "TCSZ"), ("sz_foc", "FNSZ"), ("sz_foc_a", "SPSZ"),
        ("sz-foc-ia", "CPSZ"), ("sz_foc_ia_m_tonic", "CPSZ"), ("sz_foc_f2b", "FNSZ"),
        ("sz_gen", "GNSZ"), ("sz_gen_nm", "ABSZ"), ("sz_gen_nm_typical", "ABSZ"),
        ("sz_gen_m_tonic", "TNSZ"), ("sz_gen_m_tonicClonic", "TCSZ"), ("sz_gen_m_clonic", "CNSZ"),
        ("sz_gen_m_atonic", "ATSZ"), ("sz_gen_nm_myoclonic", "MYSZ"), ("sz", None),
        ("sz_uo_m_tonicClonic", None), ("bckg", None), ("sz_gene", None), ("", None),
    ],
)  # fmt: skip
def test_a_label_has_the_type_of_the_longest_code_it_begins_with(label, code):
    assert code_of(label) == code


@pytest.mark.parametrize("code", LABEL_SETS["tusz"])
def test_every_code_survives_a_table_of_events(tmp_path, code):
    rv.write_events(tmp_path / "e.tsv", Events((Event(5, 10, code),), 60.0))
    found = TypedSeizures.of(rv.read_events(tmp_path / "e.tsv"), "tusz")
    assert [list(LABEL_SETS["tusz"])[one.number] for one in found.spans()] == [code]


def test_outputs_in_a_seizure_have_its_class_and_others_none():
    truth = typed((2, 5, "CPSZ"), (7, 9, "sz_gen_nm"))
    targets = truth.targets(np.arange(1.0, 11.0), 1.0)
    np.testing.assert_array_equal(targets, [*[np.nan] * 2, 0, 0, 0, *[np.nan] * 2, 2, 2, np.nan])


def test_unknown_types_and_types_that_overlap_are_not_judged():
    truth = typed((0, 3, "sz"), (3, 6, "GNSZ"), (4, 8, "FNSZ"), (8, 9, "CNSZ"))
    targets = truth.targets(np.arange(1.0, 11.0), 1.0)
    np.testing.assert_array_equal(targets, [*[np.nan] * 3, 1, *[np.nan] * 2, 0, 0, *[np.nan] * 2])


def test_at_least_half_of_an_output_lies_in_the_seizure():
    truth = typed((2.5, 4.4, "FNSZ"))
    np.testing.assert_array_equal(
        truth.targets(np.array([2.0, 3, 4, 5]), 1.0), [np.nan, 0, 0, np.nan]
    )


def test_seizures_without_a_known_type_are_counted_in_a_note():
    events = Events((Event(1, 5, "sz"), Event(9, 5, "MYSZ"), Event(20, 5, "sz_foc")), 60.0)
    recording = rv.Recording.from_array(np.zeros((600, 1)), 10, ["Cz"], events=events)
    (note,) = make_task("seizure_type").begin(recording).notes[-1:]
    assert note.startswith("2 of 3 seizures are of no type in the set 'combined'")
    assert "MYSZ, sz" in note
    assert "1 of 3" in make_task("seizure_type", "tusz").begin(recording).notes[-1]


def test_recordings_without_a_seizure_have_nothing_to_type():
    events = Events((Event(1, 5, "bckg"),), 60.0)
    recording = rv.Recording.from_array(np.zeros((600, 1)), 10, ["Cz"], events=events)
    assert make_task("seizure_type").truth_of(recording) is None


def test_a_missing_class_weighs_nothing_and_a_rare_one_more():
    weights = make_task("seizure_type").weights(np.array([0.0] * 30 + [2.0] * 10 + [np.nan] * 5))
    np.testing.assert_allclose(weights, [40 / 60, 0, 2, 0])


def test_one_type_alone_cannot_be_learnt():
    with pytest.raises(ValueError, match="those found are GN, must be at least two"):
        make_task("seizure_type").weights(np.array([1.0, 1.0, np.nan]))


def test_labels_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match="Invalid labels: 'tusz', must be empty for sleep"):
        Recipe(task="sleep", labels="tusz")
    with pytest.raises(ValueError, match=r"Invalid labels: 'x', possible options: \['combined'"):
        Recipe(task="seizure_type", labels="x")


def test_runs_of_a_class_are_events_and_gaps_are_none():
    decoded = predicted([0, 0, np.nan, 0, 2, 2]).decoded
    found = [(one.onset, one.end, one.label) for one in decoded]
    assert found == [(0, 2, "CF"), (3, 4, "CF"), (4, 6, "AB")]
    assert [one.confidence for one in decoded] == pytest.approx([0.7] * 3)
    assert not len(decoded.seizures())


def test_a_decision_is_the_same_in_pieces_and_its_rule_survives_a_file():
    decision = make_decision(TypeRule(NAMES), 1.0, 1.0)
    values = np.random.default_rng(0).random((1, 9, 4))
    whole, _ = decision.step(values, decision.initial_state(1))
    first, state = decision.step(values[:, :4], decision.initial_state(1))
    rest, _ = decision.step(values[:, 4:], state)
    np.testing.assert_array_equal(whole, np.concatenate([first, rest], axis=1))
    assert rule_from(json.loads(json.dumps(rule_as_dict(decision.rule)))) == decision.rule


numbers = st.lists(st.sampled_from([*range(4), np.nan]), min_size=2, max_size=40)


@given(numbers, st.randoms(use_true_random=False))
def test_scores_are_those_of_scikit_learn(marked, random):
    found = [random.choice([one, 0, 1, 3]) for one in marked]
    score = TypeScore.of(np.array(marked, dtype=float), np.array(found, dtype=float), NAMES)
    pairs = [(a, b) for a, b in zip(marked, found, strict=True) if not np.isnan(a + b)]
    if len({b for pair in pairs for b in pair}) < 2:
        return
    truth, answer = zip(*pairs, strict=True)
    every = {"labels": range(4), "zero_division": np.nan, "average": None}
    np.testing.assert_array_equal(
        score.confusion, metrics.confusion_matrix(truth, answer, labels=range(4))
    )
    for name, of in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        np.testing.assert_allclose(getattr(score, name), of(truth, answer, **every))
    assert score.weighted_f1 == pytest.approx(metrics.f1_score(truth, answer, average="weighted"))
    assert score.macro_f1 == pytest.approx(metrics.f1_score(truth, answer, average="macro"))
    assert score.accuracy == pytest.approx(metrics.accuracy_score(truth, answer))
    assert score.kappa == pytest.approx(metrics.cohen_kappa_score(truth, answer))


def test_scores_of_nothing_are_nan():
    nothing = TypeScore.of(np.array([np.nan]), np.array([0.0]), NAMES)
    assert np.isnan([nothing.weighted_f1, nothing.macro_f1, nothing.accuracy, nothing.kappa]).all()
    assert nothing.as_dict()["kappa"] is None


def test_a_seizure_has_the_class_of_the_highest_mean_probability():
    one = predicted([0, 0, 2, 2, 2, 1])
    one.values[:2] = [0.97, 0.01, 0.01, 0.01]
    truth = {"a": typed((0, 5, "FNSZ"), (5, 6, "ABSZ"))}
    scores = score_predictions("seizure_type", [one], truth)
    assert scores.pooled.outputs.confusion.tolist()[0] == [2, 0, 3, 0]
    assert scores.pooled.seizures.confusion.tolist() == [
        [1, 0, 0, 0],
        [0] * 4,
        [0, 1, 0, 0],
        [0] * 4,
    ]
    assert "1 of 2 seizures are typed right" in scores.headline()


def test_what_has_no_valid_answer_is_counted_and_not_scored():
    scores = score_predictions(
        "seizure_type",
        [predicted([0, np.nan, np.nan])],
        {"a": typed((0, 1, "FNSZ"), (1, 3, "GNSZ"))},
    )
    pooled = scores.pooled
    assert (pooled.outputs.total, pooled.seizures.total) == (1, 1)
    assert (pooled.unanswered_outputs, pooled.unanswered_seizures) == (2, 1)


def test_intervals_come_from_drawing_subjects():
    right, wrong = predicted([0, 0, 1, 1]), replace(predicted([1, 1, 0, 0]), name="b", subject="2")
    truth = typed((0, 2, "FNSZ"), (2, 4, "GNSZ"))
    scores = score_predictions("seizure_type", [right, wrong], {"a": truth, "b": truth})
    assert scores.intervals["outputs.weighted_f1"] == (0, 1)
    assert scores.pooled.outputs.weighted_f1 == 0.5
    assert np.isnan(
        score_predictions("seizure_type", [right], {"a": truth}).intervals["outputs.kappa"]
    ).all()


def test_only_types_can_be_scored_as_types():
    with pytest.raises(ValueError, match="must be a TypeRule and TypedSeizures"):
        score_predictions("seizure_type", [predicted([0])], {"a": Events((), 100.0)})


def test_what_is_annotated_survives_being_kept(tmp_path):
    truth = typed((2, 5.123456789, "CPSZ"), (7, 9, "sz_gen_m_tonicClonic"), label_set="tusz")
    (tmp_path / "truth").mkdir()
    kept = json.loads(json.dumps(keep_truth(tmp_path / "truth", {"a": truth}), default=str))
    found = read_truth(tmp_path, kept)["a"]
    assert found.spans() == truth.spans()
    assert found.label_set == "tusz"


def test_without_types_the_simulation_is_what_it_was_before_there_were_any():
    events = [one for run in rv.simulate_seizures(subjects=2) for one in run.events]
    assert [(one.onset, one.duration, one.label) for one in events] == BEFORE


def test_every_simulated_run_has_one_seizure_of_each_type(patients):
    for patient in patients:
        spans = typed(*((one.onset, one.end, one.label) for one in patient.events)).spans()
        assert sorted(one.number for one in spans) == [0, 1, 2, 3]
        assert len(patient.events.seizures()) == 4


def test_types_that_cannot_be_simulated_are_refused():
    with pytest.raises(ValueError, match="Invalid types"):
        rv.simulate_seizures(types=("clonic",))
    with pytest.raises(ValueError, match="Invalid minutes"):
        rv.simulate_seizures(minutes=4, types=KINDS)


def test_types_are_trained_tested_and_reported_by_patient(evaluation, tmp_path):
    scores = evaluation.scores
    assert scores.pooled.seizures.total == 4
    assert 0 <= scores.pooled.outputs.weighted_f1 <= 1
    assert evaluation.baseline_scores.pooled.outputs.total == scores.pooled.outputs.total
    page = evaluation.report(tmp_path / "report.html").read_text()
    assert "Which types are confused" in page


def test_file_and_stream_give_the_same_types(evaluation, patients, tmp_path):
    decoder = rv.load(evaluation.folds[0].decoder.save(tmp_path / "types.ranvier"), check=True)
    assert decoder.rule == TypeRule(NAMES)
    certified = certify(decoder, patients[0].until(120))
    assert certified.equal, str(certified)


def test_types_are_decoded_from_a_file_and_live(evaluation, patients, tmp_path, capsys):
    decoder = evaluation.folds[0].decoder.save(tmp_path / "types.ranvier")
    part = patients[0].until(60)
    file = rv.write_edf(tmp_path / "new.edf", part.read(), part.layout)
    assert main(["decode", str(decoder), str(file), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    (table,) = (tmp_path / "out").glob("*.tsv")
    assert {one.label for one in rv.read_events(table)} <= {*NAMES, "bckg"}
    capsys.readouterr()
    assert main(["live", str(decoder), "--source", f"replay:{file}", "--speed", "0"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["type"] in NAMES
    assert sum(last["probabilities"].values()) == pytest.approx(1)
