"""Every output on its own: precision, recall, F1 and confusion of classes, over the folds.

Written as text, CSV and XLSX, the network and the baseline beside each other. Numbers are those of
scikit-learn's ``classification_report`` and ``cohen_kappa_score``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ranvier.decisions import AlarmRule, MotionRule, StageRule, TypeRule
from ranvier.decoding import Prediction
from ranvier.fold_files import place_of
from ranvier.recording import Array
from ranvier.scoring import score_predictions, shown
from ranvier.tasks.seizure_scores import average
from ranvier.truth import SLEEP_STAGES, Truth
from ranvier.writing import replacing, write_text

if TYPE_CHECKING:
    from ranvier.evaluation import Evaluation

Cell = str | float
"""Of a table; NaN where there is nothing to say."""

POOLED, MEAN, SPREAD = "pooled", "mean", "std"
EACH = ("precision", "recall", "F1", "support")
OVERALL = ("accuracy", "kappa")
MACRO, WEIGHTED, ALL = "macro average", "weighted average", "all"
NO_XLSX = 'classification.xlsx was not written: pip install "ranvier[train]" brings openpyxl for it'


class Classes(NamedTuple):
    """What the classes of a decision are called, and which one an output is."""

    names: Callable[[Any], tuple[str, ...]]
    found: Callable[[Prediction], Array]
    how: str


def _above(one: Prediction) -> Array:
    assert isinstance(one.rule, AlarmRule)
    above = (one.probability >= one.rule.threshold).astype(float)
    return np.where(np.isnan(one.probability), np.nan, above)


CLASSES: dict[type, Classes] = {
    AlarmRule: Classes(
        lambda _: ("background", "seizure"),
        _above,
        "An output is a seizure where its probability reaches the threshold of its fold; how long "
        "an alarm must last does not count here.",
    ),
    StageRule: Classes(
        lambda _: SLEEP_STAGES,
        lambda one: np.asarray(one.rows[:, 0]),
        "The most probable stage of each epoch.",
    ),
    TypeRule: Classes(
        lambda rule: tuple(rule.classes),
        lambda one: np.asarray(one.rows[:, 0]),
        "The most probable type at each output inside a seizure of a known type.",
    ),
}
"""By the rule of decision; what decides no class is not here."""


@dataclass(frozen=True)
class ClassScores:
    """How well outputs are told apart, all from the table of what was marked and what was found.

    A class that is neither marked nor found has no score and is in no average. As in scikit-learn,
    the precision of a class that is never found is 0, and so is the recall of one never marked.

    Parameters
    ----------
    names
        Of the classes.
    confusion
        (marked, found), outputs.
    """

    names: tuple[str, ...]
    confusion: Array

    @classmethod
    def of(cls, marked: Array, found: Array, names: Sequence[str]) -> ClassScores:
        """Count the outputs, (output,), whose class is known in both; NaN where it is not."""
        known = ~(np.isnan(marked) | np.isnan(found))
        pairs = marked[known].astype(int) * len(names) + found[known].astype(int)
        counts = np.bincount(pairs, minlength=len(names) ** 2)
        return cls(tuple(names), counts.reshape(len(names), len(names)))

    def __add__(self, other: ClassScores) -> ClassScores:
        """Pool the outputs of two parts."""
        return ClassScores(self.names, self.confusion + other.confusion)

    @property
    def outputs(self) -> int:
        """How many were counted."""
        return int(self.confusion.sum())

    @property
    def support(self) -> Array:
        """How many are marked as each class."""
        return np.asarray(self.confusion.sum(axis=1))

    @property
    def precision(self) -> Array:
        """Of what was found as a class, the share that is marked so."""
        return self._share(self.confusion.sum(axis=0))

    @property
    def recall(self) -> Array:
        """Of what is marked as a class, the share that was found."""
        return self._share(self.support)

    @property
    def f1(self) -> Array:
        """Harmonic mean of precision and recall of each class."""
        return self._share((self.confusion.sum(axis=0) + self.support) / 2)

    def _share(self, among: Array) -> Array:
        shares = np.diag(self.confusion) / np.where(among > 0, among, 1)
        there = self.support + self.confusion.sum(axis=0) > 0
        return np.where(there, shares, np.nan)

    @property
    def accuracy(self) -> float:
        """Share of the outputs that are right."""
        return float(np.trace(self.confusion)) / self.outputs if self.outputs else math.nan

    @property
    def kappa(self) -> float:
        """Cohen's kappa; NaN where chance alone would agree fully."""
        if not self.outputs:
            return math.nan
        chance = float(self.support @ self.confusion.sum(axis=0)) / self.outputs**2
        return (self.accuracy - chance) / (1 - chance) if chance < 1 else math.nan

    @property
    def macro(self) -> Array:
        """Precision, recall and F1, each class weighing the same."""
        return self._averaged(np.ones(len(self.names)))

    @property
    def weighted(self) -> Array:
        """Precision, recall and F1, each class weighing as often as it is marked."""
        return self._averaged(self.support)

    def _averaged(self, weights: Array) -> Array:
        scores = np.stack([self.precision, self.recall, self.f1])
        there = ~np.isnan(self.f1)
        if not there.any():
            return np.full(3, np.nan)
        return np.asarray(np.average(scores[:, there], axis=1, weights=weights[there]))

    def table(self) -> dict[str, list[float]]:
        """Return the numbers of each row: ``EACH``, then ``OVERALL``; NaN where there are none."""
        none = [math.nan] * 2
        scores = (self.precision, self.recall, self.f1, self.support)
        rows = {
            name: [*map(float, own), *none] for name, *own in zip(self.names, *scores, strict=True)
        }
        averages = {MACRO: self.macro, WEIGHTED: self.weighted}
        rows |= {name: [*own.tolist(), self.outputs, *none] for name, own in averages.items()}
        overall = [float(self.outputs), self.accuracy, self.kappa]
        return {**rows, ALL: [math.nan] * 3 + overall}


@dataclass(frozen=True)
class Classification:
    """The classes of all folds, of one system.

    Parameters
    ----------
    system
        ``"network"`` or ``"baseline"``.
    folds
        Scores by the name of the fold.
    how
        What the class of an output is.
    """

    system: str
    folds: Mapping[str, ClassScores]
    how: str = ""

    @cached_property
    def pooled(self) -> ClassScores:
        """All outputs of all folds together."""
        first, *others = self.folds.values()
        return sum(others, first)

    @cached_property
    def averaged(self) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Mean and standard deviation (divided by n) of each number over the folds that have it."""
        tables = [one.table() for one in self.folds.values()]
        stacked = {name: zip(*(table[name] for table in tables), strict=True) for name in tables[0]}
        found = {name: [average(values) for values in every] for name, every in stacked.items()}
        return (
            {name: [one.mean for one in row] for name, row in found.items()},
            {
                name: [one.std if one.patients > 1 else math.nan for one in row]
                for name, row in found.items()
            },
        )

    def rows(self) -> list[list[Cell]]:
        """Return one table of everything: the names of the columns, then the rows."""
        names = self.pooled.names
        head: list[Cell] = ["fold", "class", *EACH, *OVERALL, *(f"found as {n}" for n in names)]
        rows = [head]
        for fold, one in {POOLED: self.pooled, **self.folds}.items():
            counts = dict(zip(names, one.confusion.tolist(), strict=True))
            rows += [
                [fold, name, *own, *counts.get(name, [math.nan] * len(names))]
                for name, own in one.table().items()
            ]
        for fold, table in zip((MEAN, SPREAD), self.averaged, strict=True):
            rows += [[fold, name, *own, *[math.nan] * len(names)] for name, own in table.items()]
        return rows

    def text(self) -> str:
        """Return the pooled scores, the confusion and the folds, for people."""
        pooled = self.pooled
        table = pooled.table()
        each = [(name, *map(shown, own[:3]), f"{own[3]:.0f}") for name, own in table.items()]
        overall = [("accuracy", "", "", shown(pooled.accuracy), str(pooled.outputs))]
        kappa = [("Cohen's kappa", "", "", shown(pooled.kappa), str(pooled.outputs))]
        split = len(pooled.names)
        counts = zip(pooled.names, pooled.confusion.tolist(), strict=True)
        confusion = [(name, *map(str, own)) for name, own in counts]
        blocks = (
            [f"{self.system}, pooled over {len(self.folds)} folds. {self.how}"],
            _lines([("", *EACH), *each[:split], *overall, *each[split:-1], *kappa]),
            _lines([("marked / found as", *pooled.names), *confusion]),
            _lines(self._by_fold()),
        )
        return "\n\n".join("\n".join(block) for block in blocks) + "\n"

    def _by_fold(self) -> list[tuple[str, ...]]:
        tables = {name: one.table() for name, one in self.folds.items()}
        tables |= dict(zip((MEAN, SPREAD), self.averaged, strict=True))
        head = ("fold", "outputs", "accuracy", "macro F1", "weighted F1", "kappa")
        rows: list[tuple[str, ...]] = [head]
        for name, table in tables.items():
            outputs, accuracy, kappa = table[ALL][3:]
            scores = (accuracy, table[MACRO][2], table[WEIGHTED][2], kappa)
            rows.append((name, shown(outputs, ".0f"), *map(shown, scores)))
        return rows


def classify(evaluation: Evaluation) -> list[Classification]:
    """Return the classes of the network and of the baseline.

    Parameters
    ----------
    evaluation
        With at least one prediction.

    Returns
    -------
    list of Classification
        Nothing for a task that decides no classes.
    """
    kinds = {type(fold.decoder.rule) for fold in evaluation.folds}
    if not kinds <= set(CLASSES):
        return []
    (classes,) = (CLASSES[kind] for kind in kinds)

    def scores_of(predictions: Sequence[Prediction], truth: Mapping[str, Truth]) -> ClassScores:
        names = classes.names(predictions[0].rule)
        each = [(one.targets(truth[one.name]), classes.found(one)) for one in predictions]
        marked, found = (np.concatenate(part) for part in zip(*each, strict=True))
        return ClassScores.of(marked, found, names)

    systems = {"network": "predictions", "baseline": "baseline"}
    return [
        Classification(
            system,
            {
                place_of(fold.certificate.fold): scores_of(getattr(fold, part), fold.truth)
                for fold in evaluation.folds
            },
            classes.how,
        )
        for system, part in systems.items()
    ]


def write_classification(evaluation: Evaluation, folder: Path) -> tuple[list[Path], list[str]]:
    """Write ``classification`` as text, CSV and XLSX; for movement ``movement.csv`` of R².

    Parameters
    ----------
    evaluation
        What is reported.
    folder
        For the files; each appears whole or not at all.

    Returns
    -------
    paths
        Of what was written.
    notes
        One sentence where the XLSX was not, because openpyxl is missing.
    """
    if all(isinstance(fold.decoder.rule, MotionRule) for fold in evaluation.folds):
        return [_write_csv(folder / "movement.csv", _movement_rows(evaluation))], []
    systems = classify(evaluation)
    if not systems:
        return [], []
    path = folder / "classification"
    text = write_text(path.with_suffix(".txt"), "\n".join(one.text() for one in systems))
    tables = {one.system: one.rows() for one in systems}
    head, *_ = next(iter(tables.values()))
    rows = [[name, *row] for name, table in tables.items() for row in table[1:]]
    written = [text, _write_csv(path.with_suffix(".csv"), [["system", *head], *rows])]
    try:
        return [*written, write_workbook(path.with_suffix(".xlsx"), tables)], []
    except ModuleNotFoundError:
        return written, [NO_XLSX]


def _movement_rows(evaluation: Evaluation) -> list[list[Cell]]:
    rows: list[list[Cell]] = [["system", "fold", "recording", "axis", "samples", "R2"]]
    for system, part in {"network": "predictions", "baseline": "baseline"}.items():
        for fold in evaluation.folds:
            scores = score_predictions("movement", getattr(fold, part), fold.truth)
            rows += [
                [system, place_of(fold.certificate.fold), name, axis, len(one.targets), value]
                for name, one in scores.recordings.items()
                for axis, value in zip(one.axes, one.r2, strict=True)
            ]
    return rows


def write_workbook(path: Path, tables: Mapping[str, Sequence[Sequence[Cell]]]) -> Path:
    """Write tables to one XLSX file, a sheet each, names of columns in the first row.

    Raises
    ------
    ModuleNotFoundError
        If openpyxl is missing.
    """
    from openpyxl import Workbook
    from openpyxl.styles import Font

    book = Workbook()
    book.remove(book.active)
    for name, rows in tables.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append([None if _blank(cell) else cell for cell in row])
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        sheet.freeze_panes = "A2"
    with replacing(path) as temporary:
        book.save(temporary)
    return path


def _write_csv(path: Path, rows: Sequence[Sequence[Cell]]) -> Path:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([map(_written, row) for row in rows])
    return write_text(path, text.getvalue())


def _written(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    return "" if _blank(cell) else f"{cell:.10g}"


def _blank(cell: Cell) -> bool:
    return isinstance(cell, float) and math.isnan(cell)


def _lines(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of cells as lines, the first column to the left and the others to the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        "  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]).rstrip() for row in rows
    ]
