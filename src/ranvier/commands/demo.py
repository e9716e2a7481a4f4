"""``ranvier demo``: the whole way on simulated recordings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from ranvier.commands import Answer, check_folder, showing_progress, use_threads
from ranvier.commands.decode import decode
from ranvier.commands.evaluate import answer_for, telling
from ranvier.commands.simulate import write_simulated
from ranvier.training import Training


def demo(
    *,
    task: Literal["seizure"] = "seizure",
    out: str = "demo",
    subjects: int = 8,
    minutes: float = 50.0,
    folds: int = 4,
    passes: int = 40,
    seed: int = 0,
    workers: int = 2,
) -> Answer:
    """Simulate, train and test by subject, decode, replay live, prove equal, report.

    Parameters
    ----------
    task
        What is decoded: seizure.
    out
        Folder for everything; what is there is used again.
    subjects, minutes
        How many are simulated, and for how long each.
    folds
        Into how many parts the subjects are dealt.
    passes
        Most passes of training.
    seed
        Of everything that is drawn.
    workers
        Folds that are run side by side.
    """
    from ranvier.evaluation import evaluate
    from ranvier.formats import read

    check_folder(out)
    use_threads(1)
    began = time.monotonic()
    data = Path(out) / f"data-{subjects}x{minutes:g}-seed-{seed}"
    if not data.exists():
        write_simulated(data, subjects=subjects, minutes=minutes, seed=seed)
    recordings = read(data)
    with showing_progress() as progress:
        evaluation = evaluate(
            task,
            recordings,
            training=Training(passes=passes),
            seed=seed,
            out=out,
            folds=folds,
            workers=workers,
            progress=progress,
        )
    answer = answer_for(evaluation, recordings, Path(out))
    fold, name = telling(evaluation)
    (file,) = data.rglob(f"{name}_eeg.edf")
    decoder = Path(out) / f"fold-{fold.certificate.fold.number}" / "decoder.ranvier"
    decoded = decode(str(decoder), [str(file)], out=str(Path(out) / "decoded"))
    took = f"Simulated recordings, {time.monotonic() - began:.0f} s in all."
    text = f"{answer.text}\nDecoded {decoded.text}\n{took}"
    return Answer(text, answer.content, answer.notes, failed=answer.failed)
