"""``ranvier personalise``: one patient's own decoder, from the patient's first seizures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ranvier.commands import Answer, check_folder, showing_progress, use_threads


def personalise(
    decoder: str,
    *,
    data: str,
    out: str,
    subject: str = "",
    seizures: int = 2,
    tune: Literal["choose", "readout", "all"] = "choose",
    least_gain: float = 0.01,
    seed: int = 0,
    threads: int = 1,
) -> Answer:
    """Tune a seizure decoder to the first seizures of one patient, or refuse to.

    The file is written in both cases and is the one to use: after a refusal it holds the weights
    and the threshold of the decoder that was given, and says so. The exit code is 0.

    Parameters
    ----------
    decoder
        A .ranvier file, trained on other people.
    data
        Folder with annotated recordings of the patient.
    out
        The .ranvier file to write.
    subject
        Whose recordings; may be left out where all are of one.
    seizures
        Everything up to the end of this many is learnt from.
    tune
        What is tuned: the readout, all weights, or the better of both on held-out windows.
    least_gain
        How much better an update must be on the held-out windows, in the area under the ROC.
    seed
        Of everything that is drawn.
    threads
        For computing.
    """
    from ranvier.datasets import read
    from ranvier.decoder import load
    from ranvier.personal import personalise as personalised
    from ranvier.splits import person

    path = Path(out)
    if path.suffix != ".ranvier":
        raise ValueError(f"Invalid out: {out}, must be the name of a .ranvier file")
    if path.exists() and path.samefile(decoder):
        raise ValueError(f"Invalid out: {out} is the decoder that is given, must be another file")
    check_folder(str(path.parent))
    use_threads(threads)
    base = load(decoder)
    found = [one for one in read(data) if not subject or person(one.subject) == person(subject)]
    with showing_progress() as progress:
        result = personalised(
            base,
            found,
            seizures=seizures,
            tune=tune,
            least_gain=least_gain,
            seed=seed,
            progress=progress,
        )
    result.decoder.save(path)
    text = f"{path}: {result.sentence()}"
    content = {"decoder": str(path), **result.decoder.provenance["personalised"]}
    return Answer(text, content, list(result.notes))
