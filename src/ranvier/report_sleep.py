"""What the report says of sleep staging: scores, nights and how far they can be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ranvier import figures_sleep, page
from ranvier.baseline import NAMES
from ranvier.figures_sleep import StagedNight, staged_nights
from ranvier.page import Cell
from ranvier.recording import Array
from ranvier.report_sleep_statistics import bland_altman, measure_nights, statistics_tables
from ranvier.report_sleep_trust import calibration, review
from ranvier.scoring.sleep import SleepScores
from ranvier.spectrogram import Spectrogram, spectrogram
from ranvier.tasks.sleep import SCORER, SleepScore
from ranvier.tasks.sleep_chain import count_transitions
from ranvier.tasks.sleep_statistics import UNSCORED
from ranvier.truth import SLEEP_STAGES

if TYPE_CHECKING:
    from ranvier.all_folds import AllFolds

METRICS = {"kappa": "Kappa", "accuracy": "Accuracy", "macro_f1": "Macro-F1"}
NOTHING = "There is none: not one epoch is known of both scorer and network."
NIGHT = (
    "The stages by the scorer, and below them by the network. REM is marked by a bar; where the "
    "two disagree, both are shaded. Bottom: the probabilities of the stages (hypnodensity). What "
    "is not scored or not valid is blank."
)
SPECTRUM = "Top: the power of {channel} as the network sees it, in dB of 1 µV²/Hz. "
CONFUSION = (
    "Rows: the stage by the scorer; columns: the stage by the network. In each cell the share of "
    "its row, and the epochs below."
)
TRANSITIONS = (
    "Rows: the stage of an epoch; columns: the stage of the next. In each cell the share of its "
    "row, and how often below. Pairs with an epoch that is not known of both are left out."
)
EXPLAINED = (
    "All epochs weigh the same. Below a score stands its 95 % interval over subjects (bootstrap), "
    f"where there are several. The baseline is {NAMES['sleep']}.",
    f"{page.UNKNOWN} is a score that is not defined: kappa where chance alone would agree fully, "
    "F1 of a stage that is neither marked nor found. Macro-F1 is the mean over the other stages.",
    f"Scorer: {SCORER}.",
)


def sleep_sections(evaluation: AllFolds) -> Sequence[str]:
    """Set everything that only sleep staging has to say, one text for each section.

    Parameters
    ----------
    evaluation
        Of the task ``"sleep"``, with at least one prediction.
    """
    nights = staged_nights(evaluation.predictions, evaluation.truth)
    network, baseline = evaluation.scores, evaluation.baseline_scores
    measured = measure_nights(evaluation)
    return (
        page.section("Scores", _scores(network, baseline)),
        page.section("Which stages are confused", _confusion(network.pooled)),
        page.section("One night", _one_night(evaluation, nights)),
        page.section("How stages follow one another", _transitions(nights)),
        page.section("What the probabilities are worth", calibration(nights)),
        page.section("What to review", review(nights)),
        page.section("Sleep statistics of each night", statistics_tables(measured)),
        page.section("Agreement over nights", bland_altman(measured)),
    )


def _scores(network: SleepScores, baseline: SleepScores) -> str:
    rows: list[tuple[Cell, ...]] = [
        (name, *(_with_interval(scores, metric) for scores in (network, baseline)))
        for metric, name in METRICS.items()
    ]
    by_stage = np.stack([network.pooled.f1, baseline.pooled.f1], axis=1).tolist()
    rows += [
        (f"F1 of {stage}", *map(page.share, both))
        for stage, both in zip(SLEEP_STAGES, by_stage, strict=True)
    ]
    head = ("", "Network", "Baseline")
    parts = (
        page.paragraph(_comparison(network.pooled, baseline.pooled)),
        page.table("Scores of the network and the baseline", head, rows),
        *(page.paragraph(text, look="soft") for text in EXPLAINED),
        _by_subject(network, baseline),
    )
    return "\n".join(parts)


def _with_interval(scores: SleepScores, metric: str) -> Cell:
    value, interval = page.share(getattr(scores.pooled, metric)), scores.intervals[metric]
    if value == page.UNKNOWN or np.isnan(interval).any():
        return value
    return value, " to ".join(map(page.share, interval))


def _comparison(network: SleepScore, baseline: SleepScore) -> str:
    both = [
        (_named_scores(network)[name], value) for name, value in _named_scores(baseline).items()
    ]
    names = list(_named_scores(network))
    known = [(n, *pair) for n, pair in zip(names, both, strict=True) if not np.isnan(pair).any()]
    if not known:
        return "Network and baseline cannot be compared: no score is known of both."
    lost = [
        f"{name} ({theirs:.3f} against {ours:.3f})"
        for name, ours, theirs in known
        if round(theirs, 3) > round(ours, 3)
    ]
    among = f"of the {len(known)} scores that are known of both"
    which = f"{len(lost)} {among}: {', '.join(lost)}" if lost else f"none {among}"
    return f"The baseline is ahead of the network on {which}."


def _named_scores(score: SleepScore) -> dict[str, float]:
    whole = {name[0].lower() + name[1:]: getattr(score, key) for key, name in METRICS.items()}
    stages = zip(SLEEP_STAGES, score.f1.tolist(), strict=True)
    return whole | {f"F1 of {stage}": value for stage, value in stages}


def _by_subject(network: SleepScores, baseline: SleepScores) -> str:
    stages = (f"F1 {stage}" for stage in SLEEP_STAGES)
    head = ("Subject", "Epochs", "Accuracy", "Macro-F1", "Kappa", "Baseline kappa", *stages)
    rows = [
        _subject_row(name, score, baseline.subjects.get(name))
        for name, score in network.subjects.items()
    ]
    foot = _subject_row("All", network.pooled, baseline.pooled)
    return page.table("Scores of the network by subject", head, rows, foot=foot, look="dense")


def _subject_row(name: str, score: SleepScore, baseline: SleepScore | None) -> tuple[str, ...]:
    plain = float("nan") if baseline is None else baseline.kappa
    values = (score.accuracy, score.macro_f1, score.kappa, plain, *score.f1.tolist())
    return name, f"{score.epochs:,}", *map(page.share, values)


def _confusion(score: SleepScore) -> str:
    if not score.epochs:
        return page.paragraph(NOTHING)
    title = "Confusion matrix: stages by the scorer against stages by the network"
    drawn = figures_sleep.matrix_figure(score.confusion, title, down="scorer", across="network")
    wrong = score.confusion * (1 - np.eye(len(SLEEP_STAGES), dtype=int))
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    most = (
        f" The most common error: {wrong[row, column]:,} of "
        f"{page.count(int(score.confusion[row].sum()), 'epoch')} of {SLEEP_STAGES[row]} were "
        f"taken for {SLEEP_STAGES[column]}."
    )
    return page.figure(drawn, CONFUSION + (most if wrong.any() else ""), look="beside")


def _one_night(evaluation: AllFolds, nights: Sequence[StagedNight]) -> str:
    night = choose_night(nights)
    if night is None:
        return page.paragraph(NOTHING)
    score = SleepScore.of(night.scored, night.found)
    among = f"in the middle of {len(nights)} nights" if len(nights) > 1 else "the only night"
    said = (
        f"{night.name}: kappa {page.share(score.kappa)} ({among}), "
        f"{night.differs.sum():,} of {page.count(score.epochs, 'scored epoch')} differ."
    )
    above = _spectrogram_of(evaluation, night)
    caption = (SPECTRUM.format(channel=above.channel) if above else "") + NIGHT
    return page.paragraph(said) + page.figure(figures_sleep.night_figure(night, above), caption)


def _spectrogram_of(evaluation: AllFolds, night: StagedNight) -> Spectrogram | None:
    """Analyse what was recorded in a night; None where the signal is not at hand."""
    begin, stages = evaluation.recipe.begin, evaluation.recipe.stages
    for one in evaluation.recordings:
        if one.name == night.name:
            return spectrogram(begin(one), stages)
    return None


def choose_night(nights: Sequence[StagedNight]) -> StagedNight | None:
    """Choose the night with the median kappa, the lower one of two; None if nothing is known."""
    known = [night for night in nights if night.known.any()]
    kappas = [SleepScore.of(night.scored, night.found).kappa for night in known]
    ranked = [known[i] for i in np.argsort(kappas, kind="stable") if not np.isnan(kappas[i])]
    among = ranked or known
    return among[(len(among) - 1) // 2] if among else None


def _transitions(nights: Sequence[StagedNight]) -> str:
    drawn = []
    for who, name in {"scorer": "scored", "network": "found"}.items():
        each = [count_transitions(_numbers(night, getattr(night, name)))[0] for night in nights]
        if not (counts := np.sum(each, axis=0)).any():
            return page.paragraph(NOTHING)
        title = f"Transitions between stages by the {who}"
        svg = figures_sleep.matrix_figure(counts, title, down="stage", across="next stage")
        drawn.append(page.figure(svg, f"{page.capital(who)}: {_changes(counts)}.", look="half"))
    return page.side_by_side(*drawn) + page.paragraph(TRANSITIONS, look="soft")


def _changes(counts: Array) -> str:
    changes = int(counts.sum() - np.trace(counts))
    return f"{changes:,} changes of stage in {page.count(int(counts.sum()), 'pair')} of epochs"


def _numbers(night: StagedNight, stages: Array) -> Array:
    """Return stages as whole numbers, unscored where they are not known of both."""
    return np.asarray(np.where(night.known, np.nan_to_num(stages), UNSCORED).astype(int))
