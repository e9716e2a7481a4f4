"""Classes over folds are those of scikit-learn, and stand in files that open elsewhere."""

import csv
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from openpyxl import load_workbook
from sklearn.metrics import classification_report, cohen_kappa_score

import ranvier as rv
from ranvier.certificate import Certificate
from ranvier.classification import (
    Classification,
    ClassScores,
    classify,
    write_classification,
    write_workbook,
)
from ranvier.decisions import AlarmRule, StageRule, TypeRule
from ranvier.decoder import Decoder
from ranvier.decoding import Prediction
from ranvier.evaluation import Evaluation, FoldResult
from ranvier.recipe import Recipe
from ranvier.seizure_types import TypedSeizures
from ranvier.splits import Fold
from ranvier.truth import SLEEP_STAGES

NAMES = ("a", "b", "c", "d")


def drawn(seed: int, size: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Draw what is marked and found, of some classes only, some of it unknown."""
    rng = np.random.default_rng(seed)
    classes = rng.permutation(4)[: rng.integers(1, 5)]
    marked = rng.choice(classes, size).astype(float)
    found = np.where(rng.random(size) < 0.6, marked, rng.integers(0, 4, size))
    found[rng.random(size) < 0.1] = marked[rng.random(size) < 0.1] = np.nan
    return marked, found


def report_of(marked: np.ndarray, found: np.ndarray) -> dict:
    known = ~(np.isnan(marked) | np.isnan(found))
    named = (np.array(NAMES)[one[known].astype(int)] for one in (marked, found))
    return classification_report(*named, output_dict=True, zero_division=0)


@pytest.mark.parametrize("seed", range(40))
def test_classes_are_scored_as_scikit_learn_does(seed):
    marked, found = drawn(seed)
    report = report_of(marked, found)
    table = ClassScores.of(marked, found, NAMES).table()
    assert table["all"][4] == pytest.approx(report.pop("accuracy"))
    for name, expected in report.items():
        own = table[name.replace("avg", "average")][:4]
        assert own == pytest.approx(list(expected.values())), name
    absent = set(NAMES) - set(report)
    assert all(np.isnan(table[name][:3]).all() for name in absent)


@pytest.mark.parametrize("seed", range(40))
def test_kappa_is_that_of_scikit_learn(seed):
    marked, found = drawn(seed)
    known = ~(np.isnan(marked) | np.isnan(found))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = cohen_kappa_score(marked[known].astype(int), found[known].astype(int))
    kappa = ClassScores.of(marked, found, NAMES).kappa
    assert kappa == pytest.approx(expected, nan_ok=True)


def test_without_an_output_nothing_is_known():
    none = ClassScores.of(np.full(3, np.nan), np.zeros(3), NAMES)
    assert none.outputs == 0
    assert np.isnan([none.accuracy, none.kappa, *none.macro, *none.weighted]).all()


def test_folds_are_pooled_by_output_and_averaged_by_fold():
    parts = {f"fold-{seed}": drawn(seed) for seed in range(3)}
    folds = {name: ClassScores.of(*part, NAMES) for name, part in parts.items()}
    made = Classification("network", folds)
    every = (np.concatenate(one) for one in zip(*parts.values(), strict=True))
    np.testing.assert_array_equal(made.pooled.confusion, ClassScores.of(*every, NAMES).confusion)
    means, spreads = made.averaged
    accuracies = [one.accuracy for one in folds.values()]
    assert means["all"][4] == pytest.approx(np.mean(accuracies))
    assert spreads["all"][4] == pytest.approx(np.std(accuracies))


def test_a_class_counts_in_the_mean_of_the_folds_that_have_it():
    with_b = ClassScores(("a", "b"), np.array([[8, 2], [0, 10]]))
    without = ClassScores(("a", "b"), np.array([[10, 0], [0, 0]]))
    means, spreads = Classification("network", {"x": with_b, "y": without}).averaged
    assert means["b"][1] == 1.0
    assert np.isnan(spreads["b"][1])
    assert means["a"][1] == pytest.approx(0.9)


def night(values: np.ndarray, name: str) -> Prediction:
    times, rows = np.arange(1, len(values) + 1) * 30.0, np.full((len(values), 1), np.nan)
    seconds = len(values) * 30.0
    one = Prediction(
        name, name, seconds, 30.0, times, values, rows, rows[:, :0], (), rule=StageRule()
    )
    return one.decided_by(StageRule())


def evaluation(*pairs, rule=None, task="sleep") -> Evaluation:
    """Make one fold for each (prediction, baseline, truth)."""
    folds = []
    for number, (found, plain, truth) in enumerate(pairs):
        certificate = Certificate(Fold(number, ("t",), ("v",), (found.subject,)), {}, "scorer")
        used = rule or found.rule
        decoder = Decoder(task, (), (), 1.0, "attn_sleep", {}, {}, used)
        marked = {found.name: truth}
        folds.append(FoldResult(certificate, decoder, [found], [plain], marked, used, []))
    return Evaluation(Recipe(task, "attn_sleep", stages=()), folds, {"python": "3"})


@pytest.fixture
def nights() -> Evaluation:
    rng = np.random.default_rng(0)
    made = []
    for name in "ab":
        stages = rng.integers(0, 5, 40)
        truth = rv.Hypnogram(tuple(SLEEP_STAGES[one] for one in stages), 1200.0)
        values = rng.dirichlet(np.ones(5), 40) + np.eye(5)[stages]
        values[:3] = np.nan
        flat = np.tile([1.0, 0, 0, 0, 0], (40, 1))
        made.append((night(values, name), night(flat, name), truth))
    return evaluation(*made)


def test_stages_of_sleep_are_classes_and_unknown_epochs_left_out(nights):
    network, baseline = classify(nights)
    assert list(network.folds) == ["fold-0", "fold-1"]
    assert network.pooled.outputs == 2 * 37
    assert network.pooled.kappa == pytest.approx(nights.scores.pooled.kappa)
    assert network.pooled.macro[2] == pytest.approx(nights.scores.pooled.macro_f1)
    assert baseline.pooled.kappa == pytest.approx(0.0)


def test_a_seizure_is_where_the_probability_reaches_the_threshold():
    times, rows = np.arange(1.0, 5.0), np.full((4, 3), np.nan)
    values = np.array([[0.2], [0.6], [0.7], [np.nan]])
    rule = AlarmRule(threshold=0.6)
    one = Prediction("a", "a", 4.0, 1.0, times, values, rows, rows[:, :0], (), rule=rule)
    truth = rv.Events.from_intervals([(2, 4)], 4)
    network, _ = classify(evaluation((one, one, truth), task="seizure"))
    assert network.pooled.confusion.tolist() == [[1, 1], [0, 1]]


def test_types_of_seizures_are_classes_by_the_names_of_their_rule():
    events = rv.Events((rv.Event(0, 2, "fnsz"), rv.Event(2, 2, "gnsz")), 6.0)
    values = np.eye(4)[[0, 1, 1, 1, 0, 0]]
    rule = TypeRule(("CF", "GN", "AB", "CT"))
    shared = ("a", "a", 6.0, 1.0, np.arange(1.0, 7.0), values)
    one = Prediction(*shared, np.zeros((6, 1)), np.zeros((6, 0)), (), rule=rule).decided_by(rule)
    truth = TypedSeizures.of(events, "combined")
    network, _ = classify(evaluation((one, one, truth), task="seizure_type"))
    assert network.pooled.names == rule.classes
    assert network.pooled.confusion[:2, :2].tolist() == [[1, 1], [0, 2]]


def test_network_and_baseline_stand_beside_each_other(nights, tmp_path):
    paths, notes = write_classification(nights, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert not notes
    text = (tmp_path / "classification.txt").read_text()
    assert text.index("network, pooled over 2 folds") < text.index("baseline, pooled over 2 folds")
    assert load_workbook(tmp_path / "classification.xlsx").sheetnames == ["network", "baseline"]


def test_the_table_of_text_is_read_by_any_program(nights, tmp_path):
    write_classification(nights, tmp_path)
    with (tmp_path / "classification.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    network = classify(nights)[0]
    (pooled,) = [one for one in rows if (one["fold"], one["class"]) == ("pooled", "all")][:1]
    assert float(pooled["kappa"]) == pytest.approx(network.pooled.kappa)
    (stage,) = [one for one in rows if (one["fold"], one["class"]) == ("fold-1", "N2")][:1]
    found = [int(stage[f"found as {name}"]) for name in SLEEP_STAGES]
    assert found == network.folds["fold-1"].confusion[3 - 1].tolist()


def test_the_workbook_holds_numbers_and_blanks(nights, tmp_path):
    write_classification(nights, tmp_path)
    sheet = load_workbook(tmp_path / "classification.xlsx")["network"]
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    for own, written in zip(classify(nights)[0].rows(), rows, strict=True):
        known = [None if isinstance(one, float) and np.isnan(one) else one for one in own]
        assert written == pytest.approx(known)


def test_without_openpyxl_the_others_are_written_and_it_is_said(nights, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    paths, notes = write_classification(nights, tmp_path)
    assert [path.suffix for path in paths] == [".txt", ".csv"]
    assert notes == [
        'classification.xlsx was not written: pip install "ranvier[train]" brings openpyxl for it'
    ]


def test_a_workbook_that_could_not_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = write_workbook(tmp_path / "a.xlsx", {"one": [["x"], [1.0]]})
    before = path.read_bytes()
    monkeypatch.setattr("openpyxl.Workbook.save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_workbook(path, {"one": [["x"], [2.0]]})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_movement_has_no_classes_but_a_table_of_its_own(tmp_path):
    recordings = rv.simulate_reaches(subjects=2, minutes=1)
    result = rv.evaluate("movement", recordings, network="wiener")
    (path,), _ = write_classification(result, tmp_path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(one["system"], one["fold"], one["axis"]) for one in rows] == [
        (system, fold, axis)
        for system in ("network", "baseline")
        for fold in ("fold-0", "fold-1")
        for axis in ("x", "y")
    ]
    scored = next(iter(result.scores.recordings.values()))
    assert float(rows[0]["R2"]) == pytest.approx(scored.r2[0])


def test_one_fold_has_no_spread(nights):
    alone = replace(nights, folds=nights.folds[:1])
    _, spreads = classify(alone)[0].averaged
    assert np.isnan([value for row in spreads.values() for value in row]).all()
