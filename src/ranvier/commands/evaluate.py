"""``ranvier evaluate``: cross-validation by subject, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.commands import Answer, check_folder, showing_progress, use_threads
from ranvier.decisions import AlarmRule
from ranvier.training import Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ranvier.evaluation import Evaluation
    from ranvier.live.runner import Certified
    from ranvier.recording import Recording

LONGEST_CERTIFIED = 600.0
"""Seconds of a held-out recording on which file and live are compared."""


def evaluate(
    *,
    data: str,
    out: str,
    task: str = "seizure",
    network: str = "rest",
    network_settings: dict[str, Any] | None = None,
    stages: list[dict[str, Any]] | None = None,
    training: Training = Training(),  # noqa: B008
    rule: AlarmRule = AlarmRule(),  # noqa: B008
    folds: int = 0,
    fold: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
    workers: int = 1,
) -> Answer:
    """Train and test by subject, score, and write a report.

    Parameters
    ----------
    data
        Folder of annotated recordings.
    out
        Folder for the report, the scores and one folder for each fold; folds that are done are
        not run again.
    task
        What is decoded: seizure.
    network
        Name of the network: rest.
    network_settings
        Keywords of the network.
    stages
        Settings of the stages before the network.
    training
        How the network is fitted.
    rule
        When a probability becomes an alarm.
    folds
        How many; 0 leaves one subject out at a time.
    fold
        Run this fold alone, counted from 0.
    seed
        Of everything that is drawn.
    device
        cpu, cuda or auto.
    threads
        For computing, in each worker.
    workers
        Folds that are run side by side.
    """
    from ranvier.evaluation import evaluate as run
    from ranvier.fitting import recipe_from
    from ranvier.formats import read

    recipe = recipe_from(
        task,
        network=network,
        network_settings=network_settings,
        stages=stages,
        training=training,
        rule=rule,
        seed=seed,
        device=device,
    )
    check_folder(out)
    use_threads(threads)
    recordings = read(data)
    with showing_progress() as progress:
        evaluation = run(
            task,
            recordings,
            recipe=recipe,
            out=out,
            folds=folds,
            only=fold,
            workers=workers,
            progress=progress,
        )
    return answer_for(evaluation, recordings, Path(out))


def answer_for(evaluation: Evaluation, recordings: Sequence[Recording], out: Path) -> Answer:
    """Certify on a held-out recording, write the report, and say what came out."""
    from ranvier.evaluation import write_json
    from ranvier.report import headline, table, write_report

    certified, latency = certify_held_out(evaluation, recordings)
    scores = evaluation.scores()
    content = {**evaluation.as_dict(), "certified": str(certified), "latency": latency}
    write_json(out / "scores.json", content)
    report = write_report(evaluation, out / "report.html", certified=certified, latency=latency)
    lines = [headline(scores), "", table(evaluation), "", str(certified), f"Report: {report}"]
    notes = [f"{name}: {note}" for name, found in evaluation.notes.items() for note in found]
    return Answer("\n".join(lines), content, notes, failed=not certified.equal)


def certify_held_out(
    evaluation: Evaluation, recordings: Sequence[Recording]
) -> tuple[Certified, dict[str, Any]]:
    """Decode the beginning of a tested recording as a file and live, by its fold's decoder."""
    from ranvier.live.runner import certify, latencies, run
    from ranvier.live.sources import Replay

    fold = evaluation.folds[0]
    tested = {prediction.name for prediction in fold.predictions}
    recording = next(one for one in recordings if one.name in tested).until(LONGEST_CERTIFIED)
    messages = list(run(fold.decoder, Replay(recording.until(60.0), speed=0)))
    return certify(fold.decoder, recording), latencies(messages)
