"""One page that says what was run, what it rests on and what came out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import figures, page
from ranvier.baseline import NAMES
from ranvier.decisions import AlarmRule
from ranvier.decoding import Prediction
from ranvier.report_movement import movement_sections
from ranvier.report_scores import score_tables
from ranvier.report_seizure_type import seizure_type_sections
from ranvier.report_sleep import sleep_sections
from ranvier.scoring.seizure import SeizureScores, SubjectScore
from ranvier.splits import OFFICIAL
from ranvier.tasks.seizure_events import RULES, EventScore, score_events

if TYPE_CHECKING:
    from ranvier.all_folds import AllFolds
    from ranvier.fold_files import FoldResult
    from ranvier.live.runner import Certified

LONGEST = 3600.0
"""Seconds of a recording that its timeline shows at the most."""
FEW_DELAYS = 5
"""With fewer delays than this they are listed, not drawn."""
OPEN_FOLDS = 3
"""With more folds than this their certificates are folded away."""
MOST_NOTED = 300
"""Recordings whose notes are shown."""
TIMELINE = (
    "Top: what is marked and what was detected; an alarm is raised where a detection has lasted "
    "long enough. Middle: probability of a seizure, with the threshold. Bottom: probability of "
    "each site on its own. Grey is not valid."
)
STAGE_WORDS: dict[str, Callable[..., str]] = {
    "mark_flat": lambda seconds=2.0: f"mark leads that are flat for {seconds:g} s as not valid",
    "pick": lambda channels=(): f"take {', '.join(channels)}",
    "derive_montage": lambda montage="double_banana": f"derive the {_spaced(montage)} montage",
    "resample": lambda rate_out=200.0, **_: f"resample to {rate_out:g} Hz",
    "filter": lambda low=0.5, high=70.0, order=2: (
        f"filter of order {order} ({_hertz(low)} to {_hertz(high)})"
    ),
    "spectrum": lambda features=100: f"log spectrum of each second, {features} values",
    "scale_per_step": lambda: "scale each second of each site to mean 0 and deviation 1",
    "standardise": lambda **_: "scale by the training recordings",
}
LATENCIES = {
    "age_seconds": "Waiting until its block is full, and computing, for each answer",
    "compute_seconds": "Computing, for each block",
}


def write_report(
    evaluation: AllFolds,
    path: Path,
    *,
    certified: Certified | None = None,
    latency: Mapping[str, Any] | None = None,
) -> Path:
    """Write one HTML page that needs nothing else; it appears whole or not at all.

    Parameters
    ----------
    evaluation
        What is reported.
    path
        Of the page; its folder is made where it is missing.
    certified
        Whether file and stream gave the same answer, when that was tried.
    latency
        Percentiles in milliseconds, as ``live.runner.latencies`` returns them.

    Raises
    ------
    ValueError
        If the evaluation holds no prediction, or matplotlib is missing.
    """
    if not evaluation.predictions:
        raise ValueError("Invalid evaluation: 0 predictions, must be at least 1")
    write = _seizure_sections if evaluation.recipe.task == "seizure" else _other_sections
    sections = (
        *write(evaluation),
        page.section("File and live", _live(certified, latency or {})),
        page.section("Details", _details(evaluation)),
    )
    split = "later in time" if evaluation.recipe.in_time else "by patient"
    kind = f"Ranvier · {evaluation.recipe.task} · tested {split}"
    return page.write_page(path, evaluation.headline(), kind, sections)


def _plain_sections(evaluation: AllFolds) -> Sequence[str]:
    columns, *rows = evaluation.scores.table(evaluation.baseline_scores)
    return (page.section("Scores", page.table("Scores", columns, rows)),)


def _seizure_sections(evaluation: AllFolds) -> Sequence[str]:
    network, baseline = evaluation.scores, evaluation.baseline_scores
    return (
        page.section("What was run", _what_was_run(evaluation, network)),
        page.section("Who was in which part", _certificates(evaluation)),
        page.section("Scores", score_tables(network, baseline, evaluation.recipe.seed)),
        page.section("Every output on its own", _curves(network, baseline)),
        page.section("One recording", _one_recording(evaluation)),
        page.section("Delay of the alarms", _delays(network.pooled)),
    )


def _other_sections(evaluation: AllFolds) -> Sequence[str]:
    own = {
        "sleep": sleep_sections,
        "seizure_type": seizure_type_sections,
        "movement": movement_sections,
    }
    return (
        page.section("What was run", _what_any_task_ran(evaluation)),
        page.section("Who was in which part", _certificates(evaluation)),
        *own.get(evaluation.recipe.task, _plain_sections)(evaluation),
    )


def _what_was_run(evaluation: AllFolds, scores: SeizureScores) -> str:
    seizures = sum(len(events.seizures()) for events in evaluation.truth.values())
    patients = page.count(scores.people, "patient")
    recordings = page.count(len(evaluation.predictions), "recording")
    rows = (
        *_network_rows(evaluation),
        ("Tested on", f"{recordings} of {patients}, {page.amount(scores.pooled.hours, 'hour')}"),
        ("Marked", page.count(seizures, "seizure")),
        ("Split", _split_words(evaluation)),
        ("Alarm", _alarm_words(evaluation)),
    )
    return page.table("What was run", (), rows, look="words")


def _what_any_task_ran(evaluation: AllFolds) -> str:
    hours = sum(one.duration for one in evaluation.predictions) / 3600
    recordings = page.count(len(evaluation.predictions), "recording")
    rows = (
        *_network_rows(evaluation),
        ("Tested on", f"{recordings}, {page.amount(hours, 'hour')}"),
        ("Split", _split_words(evaluation)),
    )
    return page.table("What was run", (), rows, look="words")


def _split_words(evaluation: AllFolds) -> str:
    folds = page.count(len(evaluation.folds), "fold")
    if evaluation.folds[0].certificate.fold.protocol == OFFICIAL:
        return "as the data set publishes it: each network is tested on people new to it"
    if evaluation.recipe.in_time:
        which = "other" if evaluation.recipe.split_by == "blocked" else "later"
        return f"{folds} in time: each network is tested on {which} parts of the same recordings"
    return f"{folds} by patient: each network is tested on people new to it"


def _network_rows(evaluation: AllFolds) -> Sequence[tuple[str, str]]:
    recipe = evaluation.recipe
    weights = sum(np.size(weight) for weight in evaluation.folds[0].decoder.weights.values())
    return (
        ("Network", f"{recipe.network}, {page.count(weights, 'weight')}"),
        ("Compared with", NAMES[recipe.task]),
        ("Before the network", "; ".join(map(_stage_words, recipe.stages)) or "nothing"),
        ("Written", f"{datetime.now().astimezone():%Y-%m-%d}"),
    )


def _stage_words(stage: Mapping[str, Any]) -> str:
    settings = {name: value for name, value in stage.items() if name != "stage"}
    try:
        return STAGE_WORDS[stage["stage"]](**settings)
    except (KeyError, TypeError, ValueError):
        return ", ".join(f"{_spaced(name)} {value}" for name, value in stage.items())


def _hertz(edge: float | None) -> str:
    return "open" if edge is None else f"{edge:g} Hz"


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _alarm_words(evaluation: AllFolds) -> str:
    rule = evaluation.recipe.rule
    thresholds = sorted({f"{_threshold(fold):.3f}" for fold in evaluation.folds})
    chosen = " to ".join(dict.fromkeys((thresholds[0], thresholds[-1])))
    return (
        f"probability of at least {chosen}, chosen in each fold, for {rule.minimum_seconds:g} s; "
        f"over when below {rule.release:.0%} of that; pauses under {rule.merge_seconds:g} s are "
        "bridged"
    )


def _threshold(fold: FoldResult) -> float:
    rule = fold.decoder.rule
    return rule.threshold if isinstance(rule, AlarmRule) else float("nan")


def _certificates(evaluation: AllFolds) -> str:
    certificates = [fold.certificate for fold in evaluation.folds]
    listed = [page.listing(certificate.sentences()) for certificate in certificates]
    if len(listed) > OPEN_FOLDS:
        listed = [page.folded(f"Certificates of the {len(listed)} folds", *listed)]
    return page.paragraph(f"{page.capital(certificates[0].apart)}.") + "\n".join(listed)


def _curves(network: SeizureScores, baseline: SeizureScores) -> str:
    named = {"network": network.pooled, "baseline": baseline.pooled}
    drawn = {name: one for name, one in named.items() if len(np.unique(one.labels)) == 2}
    if "network" not in drawn:
        return page.paragraph("There is no curve: the outputs are all of one class.")
    hits = {name: figures.count_hits(one.labels, one.probability) for name, one in drawn.items()}
    areas, precisions = (
        {f"{name} ({page.share(getattr(drawn[name], of))})": hit for name, hit in hits.items()}
        for of in ("auroc", "average_precision")
    )
    roc = figures.roc_figure(areas)
    recall = figures.precision_recall_figure(precisions)
    return page.side_by_side(
        page.figure(
            roc, "Receiver operating characteristic of the outputs, and its area.", look="half"
        ),
        page.figure(
            recall, "Precision against recall of the outputs, and its average.", look="half"
        ),
    )


def _one_recording(evaluation: AllFolds) -> str:
    excerpt, counts = choose_excerpt(evaluation)
    one = excerpt.prediction
    said = (
        f"{one.name}: {counts.true_positives} of {page.count(counts.references, 'seizure')} "
        f"found, {page.count(counts.false_positives, 'false alarm')}. Detections less than "
        f"{RULES.minimum_gap:g} s apart count as one."
    )
    if excerpt.stop - excerpt.start < one.duration:
        times = (excerpt.start, excerpt.stop, one.duration)
        said += " Shown are minutes {:.0f} to {:.0f} of {:.0f}.".format(*(t / 60 for t in times))
    if (peak := excerpt.peak) is None:
        return page.paragraph(f"{said} Not one output is valid.")
    timeline = page.figure(figures.timeline_figure(excerpt), TIMELINE)
    return page.paragraph(said) + page.side_by_side(timeline, _head(excerpt, peak))


def _head(excerpt: figures.Excerpt, peak: int) -> str:
    one = excerpt.prediction
    if not (drawn := figures.head_figure(one.site_names, one.sites[peak])):
        return ""
    minute, second = divmod(round(float(one.times[peak])), 60)
    ranked = sorted(zip(-one.sites[peak], one.site_names, strict=True))
    highest = [f"{name} {-value:.2f}" for value, name in ranked if not np.isnan(value)]
    where = "in a marked seizure" if excerpt.truth.seizures().items else "in this stretch"
    caption = (
        f"The sites at {minute}:{second:02d} (minutes:seconds), when the probability was highest "
        f"{where}, seen from above with the nose at the top. Highest: {', '.join(highest[:3])}. "
        "Grey is not valid."
    )
    return page.figure(drawn, caption, look="beside")


def choose_excerpt(evaluation: AllFolds) -> tuple[figures.Excerpt, EventScore]:
    """Choose a recording to show, with its counts: one in which something went right and wrong."""
    truth, counts = evaluation.truth, {}
    for one in evaluation.predictions:
        counts[one.name] = score_events(truth[one.name], one.events)

    def telling(one: Prediction) -> tuple[bool, ...]:
        count = counts[one.name]
        wrong = count.false_positives > 0 or count.true_positives < count.references
        found = count.true_positives > 0
        return count.references > 0, found and wrong, found

    thresholds = {
        one.name: _threshold(fold) for fold in evaluation.folds for one in fold.predictions
    }
    chosen = max(evaluation.predictions, key=telling)
    name, length = chosen.name, chosen.duration
    whole = figures.Excerpt(chosen, truth[name], thresholds[name], 0.0, length)
    if whole.peak is None or length <= LONGEST:
        return whole, counts[name]
    start = float(np.clip(chosen.times[whole.peak] - LONGEST / 2, 0, length - LONGEST))
    return replace(whole, start=start, stop=start + LONGEST), counts[name]


def _delays(pooled: SubjectScore) -> str:
    known = pooled.delays[~np.isnan(pooled.delays)]
    marked = page.count(len(pooled.delays), "marked seizure")
    said = (
        f"An alarm was raised for {len(known)} of {marked}, from {RULES.tolerance_start:g} s "
        f"before the onset to {RULES.tolerance_end:g} s after the end. A seizure also counts as "
        "found, without a delay, when an alarm raised earlier is still on."
    )
    if len(known) >= FEW_DELAYS:
        caption = (
            f"The median delay is {page.seconds(pooled.median_delay)} (dashed); the marked onset "
            "is at 0."
        )
        drawn = page.figure(figures.delay_figure(known), caption, look="beside")
        return page.paragraph(said) + drawn
    if len(known):
        said += f" Too few for a histogram: {', '.join(map(page.seconds, np.sort(known)))}."
    return page.paragraph(said)


def _live(certified: Certified | None, latency: Mapping[str, Any]) -> str:
    said = page.paragraph(
        "Not certified: it was not tried whether a stream gives the same answer as the file."
    )
    if certified is not None:
        look = "good" if certified.equal else "bad"
        said = page.paragraph(f"{page.capital(str(certified))}.", look=look)
    timed = {name: times for name, times in latency.items() if isinstance(times, Mapping)}
    if not timed:
        return said + page.paragraph("Latency was not measured.")
    columns = list(dict.fromkeys(column for times in timed.values() for column in times))
    rows = [
        (LATENCIES.get(name, name), *(_milliseconds(times.get(column)) for column in columns))
        for name, times in timed.items()
    ]
    table = page.table("Latency", ("Latency", *columns), rows)
    return said + table + _late(latency)


def _late(latency: Mapping[str, Any]) -> str:
    """Say how many answers took longer than what they were given lasts."""
    if "late" not in latency:
        return ""
    block = 1000 * float(latency["block_seconds"])
    return page.paragraph(
        f"{latency['late']:,} of {page.count(latency['answers'], 'answer')} took longer to compute "
        f"than the {block:.4g} ms that a bin lasts. That an answer waits until its bin is full, "
        "half a bin on average for a spike, is not part of these times."
    )


def _milliseconds(value: float | None) -> str:
    return page.UNKNOWN if value is None or np.isnan(value) else f"{value:.2f} ms".replace("-", "−")


def _details(evaluation: AllFolds) -> str:
    noted = evaluation.notes.items()
    lines = [f"{name}: {'; '.join(dict.fromkeys(notes))}" for name, notes in noted]
    shown = lines[:MOST_NOTED]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more recordings")
    notes = page.folded(f"Notes on {page.count(len(lines), 'recording')}", page.listing(shown))
    recipe = json.dumps(asdict(evaluation.recipe), indent=2, default=str, ensure_ascii=False)
    versions = page.table("Versions", (), list(evaluation.versions.items()), look="words")
    return "\n".join(
        (
            notes if lines else page.paragraph("Nothing was repaired or left out."),
            page.folded("Versions", versions),
            page.folded("Recipe", page.as_written(recipe)),
        )
    )
