"""``ranvier evaluate``: cross-validation by subject or in time, with a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ranvier.commands import (
    Answer,
    OptionError,
    check_folder,
    grouped,
    left_out,
    read_annotated,
    showing_progress,
    use_threads,
)
from ranvier.recipe import Recipe
from ranvier.recording import COUNT
from ranvier.splits import OFFICIAL
from ranvier.store import stages_done

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ranvier.evaluation import Evaluation, FoldResult
    from ranvier.live.runner import Certified
    from ranvier.recording import Recording

NO_SIGNAL = (
    "not certified: the store holds what stages gave, and no signal to decode as a file and live; "
    "ranvier certify takes a file"
)
NOT_AGAIN = "not certified again: whether file and live agree was not tried on these decisions"
WITH_RESCORE = {"rescore", "out", "threads", "json", "verbose", "quiet", "config"}
"""Options that scoring again takes, besides those of the rule."""
LONGEST_CERTIFIED = 1800.0
"""Seconds of a held-out recording on which file and live are compared."""
PUBLISHED_FOLDS = 4
"""Papers test a quarter."""


def evaluate(
    *,
    recipe: Recipe,
    given: Mapping[str, Any],
    data: str = "",
    out: str = "",
    folds: int = 0,
    fold: int | None = None,
    threads: int = 1,
    workers: int = 1,
    audit: bool = False,
    rescore: str = "",
    protocol: Literal["honest", "official", "paper", "paper-per-subject"] = "honest",
    annotations: str = "",
    subset: str = "",
) -> Answer:
    """Train and test on others than were learnt from, score, and write a report.

    Parameters
    ----------
    data
        Folder of annotated recordings.
    out
        Folder for the report, the scores and one folder for each fold; folds that are done are
        not run again.
    audit
        Afterwards change the future and the test part of a few minutes of one fold, train on them
        with one pass, and name what leaks; then the exit code is 1.
    rescore
        Folder of an evaluation, scored and reported again without training and without recordings.
        With --rule.* its outputs are decided by another rule; then --out is "rescored" in that
        folder unless given.
    protocol
        "honest" tests on people or times that nothing was learnt from, in folds. "official" does so
        in the parts that the data set publishes, such as train, dev and eval of TUSZ: learnt from
        the first, chosen on the second and tested on the third.
        "paper" trains and tests as published, leaks and all, and honestly beside it, in 4 folds
        unless told otherwise, one after the other, and writes no decoder; "paper-per-subject" does
        so for each subject.
    annotations
        Where the annotations are, if not with the recordings: a folder of files that are called
        like them, or one table with the columns recording, onset and end.
    subset
        Subjects to keep of those in the folder: "sleep-edf-20", "sleep-edf-78", or a file with
        one a line.
    given
        Options that were not left as they are.
    recipe
        What is trained, and how.
    folds
        How many; 0 leaves one subject out at a time. In time there is one for each recording.
    fold
        Run this fold alone, counted from 0.
    threads
        For computing, in each worker.
    workers
        Folds that are run side by side.
    """
    from ranvier.evaluation import evaluate as run

    if rescore:
        return rescored(Path(rescore), out, given)
    for name, value in {"data": data, "out": out}.items():
        if not value:
            raise OptionError(f"Missing {name}: --{name} must be a folder")
    check_folder(out)
    use_threads(threads)
    recordings = read_annotated(data, annotations, subset)
    if protocol.startswith("paper"):
        check_published(protocol, audit=audit, fold=fold)
        return compared(protocol, recordings, recipe, Path(out), folds=folds or PUBLISHED_FOLDS)
    with showing_progress() as progress:
        evaluation = run(
            recipe.task,
            recordings,
            recipe=recipe,
            out=out,
            folds=folds,
            official=protocol == OFFICIAL,
            only=fold,
            workers=workers,
            progress=progress,
        )
    if not audit:
        return answer_for(evaluation, recordings, Path(out))
    return audited(evaluation, recordings, Path(out))


def check_published(protocol: str, *, audit: bool, fold: int | None) -> None:
    """Refuse options that the protocols of papers do not take."""
    if audit:
        raise ValueError(
            f"Invalid audit with protocol {protocol!r}, must be 'honest' or 'official'"
        )
    if fold is not None:
        raise ValueError(f"Invalid fold with protocol {protocol!r}: {fold}, must not be given")


def audited(evaluation: Evaluation, recordings: Sequence[Recording], out: Path) -> Answer:
    """Audit the first fold, put the verdict into all certificates, and answer as without."""
    from ranvier.audit.recipe import audit_recipe, certified_by

    fold = evaluation.folds[0].certificate.fold
    try:
        if any(stages_done(one, evaluation.recipe.stages) for one in recordings):
            raise ValueError("the store holds what stages gave, must be signals")
        found = audit_recipe(recordings, evaluation.recipe, fold)
    except ValueError as error:
        answer = answer_for(evaluation, recordings, out)
        return replace(answer, notes=[*answer.notes, f"not audited: {error}"], failed=True)
    answer = answer_for(certified_by(found, evaluation, out), recordings, out)
    text = "\n".join([answer.text, *found.sentences()])
    return replace(answer, text=text, failed=answer.failed or bool(found.faults))


def compared(
    protocol: str, recordings: Sequence[Recording], recipe: Recipe, out: Path, *, folds: int
) -> Answer:
    """Train and test under the protocols of papers and honestly, and say how they differ."""
    from ranvier.evaluation import write_json
    from ranvier.protocols import compare_protocols

    with showing_progress() as progress:
        found = compare_protocols(
            recipe.task,
            recordings,
            protocol=protocol,
            recipe=recipe,
            out=out,
            folds=folds,
            progress=progress,
        )
    write_json(out / "protocols.json", found.as_dict())
    lines = [found.headline(), "", *aligned(found.table()), "", *found.certificate()]
    return Answer("\n".join(lines), found.as_dict())


def answer_for(evaluation: Evaluation, recordings: Sequence[Recording], out: Path) -> Answer:
    """Certify on a held-out recording, write the report, and say what came out."""
    from ranvier.rescoring import keep_live

    certified, latency = certify_held_out(evaluation, recordings)
    if certified is not None:
        keep_live(out, certified, latency)
    answer = write_results(evaluation, out, certified, latency, uncertified=NO_SIGNAL)
    unused = left_out(recordings, evaluation.recipe.learnt)
    return replace(answer, notes=[*answer.notes, *grouped(unused)])


def write_results(
    evaluation: Evaluation,
    out: Path,
    certified: Certified | None,
    latency: Mapping[str, Any],
    *,
    uncertified: str = NOT_AGAIN,
) -> Answer:
    """Write scores, tables of classes and the report, and say what came out."""
    from ranvier.classification import write_classification
    from ranvier.evaluation import write_json
    from ranvier.report import write_report

    said = str(certified or uncertified)
    scores = evaluation.scores
    content = {**evaluation.as_dict(), "certified": said, "latency": latency}
    write_json(out / "scores.json", content)
    written, unwritten = write_classification(evaluation, out)
    report = write_report(evaluation, out / "report.html", certified=certified, latency=latency)
    table = aligned(scores.table(evaluation.baseline_scores))
    lines = [evaluation.headline(), "", *table, "", said, *map(str, written), f"Report: {report}"]
    notes = [(name, note) for name, found in evaluation.notes.items() for note in found]
    failed = certified is not None and not certified.equal
    return Answer("\n".join(lines), content, [*grouped(notes), *unwritten], failed=failed)


def rescored(folder: Path, out: str, given: Mapping[str, Any]) -> Answer:
    """Score an evaluation again; with another rule, not in its place."""
    from ranvier.fold_files import RESCORED
    from ranvier.rescoring import load_evaluation, read_live

    changes = {name: given[name] for name in given if name not in WITH_RESCORE}
    if other := [f"--{name}" for name in changes if not name.startswith("rule.")]:
        raise ValueError(
            f"Invalid options with --rescore: {', '.join(other)}, must be --out and --rule.* "
            "alone: nothing is trained again"
        )
    rule = {name.removeprefix("rule."): value for name, value in changes.items()}
    evaluation = load_evaluation(folder, **rule)
    place = Path(out) if out else folder / RESCORED if rule else folder
    check_folder(str(place))
    certified, latency = (None, {}) if rule else read_live(folder)
    return write_results(evaluation, place, certified, latency)


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of cells as lines of text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.rjust, row, widths)) for row in rows]


def telling(evaluation: Evaluation) -> tuple[FoldResult, str]:
    """Return a fold and the name of a tested recording, one with detections if there is one."""
    tested = [(fold, one) for fold in evaluation.folds for one in fold.predictions]
    fold, prediction = max(tested, key=lambda pair: len(pair[1].decoded) > 0)
    return fold, prediction.name


def certify_held_out(
    evaluation: Evaluation, recordings: Sequence[Recording]
) -> tuple[Certified | None, dict[str, Any]]:
    """Decode the beginning of a tested recording as a file and live, by its fold's decoder.

    None where a store holds what the decoder's first stages gave, and no signal.
    """
    from ranvier.live.runner import certify, latencies, run
    from ranvier.live.sources import Replay

    fold, name = telling(evaluation)
    whole = next(one for one in recordings if one.name in {name, name.rpartition("_part-")[0]})
    if stages_done(whole, fold.decoder.stages):
        return None, {}
    recording = whole.until(LONGEST_CERTIFIED)
    if recording.layout.unit != COUNT:
        messages = list(run(fold.decoder, Replay(recording.until(60.0), speed=0)))
        return certify(fold.decoder, recording), latencies(messages)
    bin_seconds = fold.decoder.bind(recording.layout).hop
    chunk = max(1, round(bin_seconds * recording.layout.rate))
    messages = list(run(fold.decoder, Replay(recording.until(60.0), speed=0, chunk=chunk)))
    timed = latencies(messages, block_seconds=bin_seconds)
    return certify(fold.decoder, recording), timed
