"""The auditor: takes a whole pipeline with its training, and names what it should not have seen.

It changes the future and the test part, and asserts that nothing before and nothing fitted changes.
docs/audit.md says what each probe does and what it cannot see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ranvier.audit.future import ask_future
from ranvier.audit.probes import (
    ask_gap,
    ask_labels,
    ask_people,
    ask_test_part,
    ask_windows,
    longest_tested,
)
from ranvier.audit.subject import Fault, Found, Outputs, Parts, Run, Split, Trained, Windows
from ranvier.recording import Recording

__all__ = ["Audit", "Fault", "Outputs", "Parts", "Trained", "Windows", "audit"]


@dataclass(frozen=True)
class Audit:
    """What the auditor says of a pipeline.

    Parameters
    ----------
    found
        What each probe found, by its name.
    about
        What was audited, such as ``"fold 1, 1 pass"``.
    """

    found: Mapping[str, Found]
    about: str = ""

    @property
    def faults(self) -> list[Fault]:
        """Everything that is wrong; empty where nothing leaks."""
        return [fault for one in self.found.values() for fault in one.faults]

    @property
    def unasked(self) -> dict[str, str]:
        """Probes that have nothing to say, and why."""
        return {name: one.unasked for name, one in self.found.items() if one.unasked}

    @property
    def verdict(self) -> str:
        """The whole in one sentence without a full stop."""
        asked = len(self.found) - len(self.unasked)
        about = f"{self.about}, " if self.about else ""
        names = ", ".join(dict.fromkeys(fault.name for fault in self.faults))
        result = f"found: {names}" if names else "nothing leaks"
        without = f" (not asked: {', '.join(self.unasked)})" if self.unasked else ""
        return f"audited: {about}{asked} probes, {result}{without}"

    def sentences(self) -> list[str]:
        """Say it in words: the verdict, what was seen, and what could not be asked."""
        said = [f"{fault.name}: {fault.text}" for fault in self.faults]
        return [self.verdict, *said, *(f"{name}: {why}" for name, why in self.unasked.items())]

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain types."""
        return {
            "verdict": self.verdict,
            "faults": [asdict(fault) for fault in self.faults],
            "probes": [name for name in self.found if name not in self.unasked],
            "not_asked": self.unasked,
        }


def audit(
    run: Run,
    recordings: Sequence[Recording],
    split: Split,
    *,
    among: Sequence[Recording] = (),
    seed: int = 0,
    about: str = "",
) -> Audit:
    """Audit a pipeline with its training.

    It is trained twice, and four times where what is fitted leaks, and decodes one recording of the
    test part about ten times. Some minutes of signal from some subjects are enough; they are
    held in memory.

    Parameters
    ----------
    run
        Trains on the recordings as the split says, in the same way each time.
    recordings
        Of all parts, annotated.
    split
        A ``splits.Fold``, or ``Parts`` as somebody else made them.
    among
        Recordings among which one patient under two names is looked for; those of the split
        unless given.
    seed
        Of the noise in changed signals.
    about
        What is audited, for the verdict.

    Returns
    -------
    Audit
        With a fault for each thing that is wrong. Where several things that are fitted change,
        that is the first of them: it takes the others with it.

    Raises
    ------
    ValueError
        If no recording is of the test part, or training is not the same each time.
    """
    longest = longest_tested(recordings, split)
    people = ask_people(among or recordings, split)
    trained = _remembering(run(recordings, split), longest)
    windows = ask_windows(trained, recordings)
    mixed = any(fault.name == "shuffled windows" for fault in windows.faults)
    why = "the test part is among the training windows"
    probes: dict[str, Callable[[], Found]] = {
        "people": lambda: people,
        "windows": lambda: windows,
        "test part": lambda: (
            Found(unasked=why)
            if mixed
            else ask_test_part(run, trained, recordings, split, seed=seed)
        ),
        "test labels": lambda: ask_labels(trained, longest),
        "future": lambda: ask_future(trained, longest, seed=seed),
        "gaps": lambda: ask_gap(trained, longest),
    }
    return Audit({name: probe() for name, probe in probes.items()}, about)


def _remembering(trained: Trained, recording: Recording) -> Trained:
    """Decode this recording once."""
    known = trained.predict(recording)
    predict = trained.predict
    return replace(trained, predict=lambda one: known if one is recording else predict(one))
