"""In which formats each task can be written, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ranvier.truth import Hypnogram, Trajectory

if TYPE_CHECKING:
    from ranvier.decisions import Rule
    from ranvier.decoding import Prediction


@dataclass(frozen=True)
class Form:
    """One format of what was decoded.

    Parameters
    ----------
    ending
        What the name of the file ends with.
    write
        From the path and the prediction to the path.
    """

    ending: str
    write: Callable[[Path, Prediction], Path]


class Written(NamedTuple):
    """What a task gives, in words, and the formats of that."""

    what: str
    forms: Mapping[str, Form]


def _events_tsv(path: Path, prediction: Prediction) -> Path:
    from ranvier.formats import write_events

    return write_events(path, prediction.events)


def _events_edf(path: Path, prediction: Prediction) -> Path:
    from ranvier.formats.event_annotations import write_event_annotations

    return write_event_annotations(path, prediction.events)


def _hypnogram(prediction: Prediction) -> Hypnogram:
    if not isinstance(prediction.decoded, Hypnogram):
        raise ValueError(f"Invalid task: there are no stages of sleep in {prediction.name}")
    return prediction.decoded


def _start(prediction: Prediction) -> datetime | None:
    return datetime.fromisoformat(prediction.start) if prediction.start else None


def _stages_tsv(path: Path, prediction: Prediction) -> Path:
    from ranvier.formats import write_hypnogram

    return write_hypnogram(path, _hypnogram(prediction))


def _stages_edf(path: Path, prediction: Prediction) -> Path:
    from ranvier.formats import write_sleep_edf

    return write_sleep_edf(path, _hypnogram(prediction), start=_start(prediction))


def _stages_xml(path: Path, prediction: Prediction) -> Path:
    from ranvier.formats.profusion import write_nsrr

    return write_nsrr(path, _hypnogram(prediction), start=_start(prediction))


def _stages_csv(path: Path, prediction: Prediction) -> Path:
    from ranvier.formats import write_stage_table

    hypnogram = _hypnogram(prediction)
    return write_stage_table(path, hypnogram, probabilities=prediction.values)


def _motion_tsv(path: Path, prediction: Prediction) -> Path:
    from ranvier.formats import write_trajectory

    if not isinstance(prediction.decoded, Trajectory):
        raise ValueError(f"Invalid task: there is no movement in {prediction.name}")
    return write_trajectory(path, prediction.decoded)


_EVENTS = {"tsv": Form("_events.tsv", _events_tsv), "edf": Form("_events.edf", _events_edf)}
WRITTEN: Mapping[str, Written] = {
    "alarm": Written("seizures", _EVENTS),
    "type": Written("types of seizures", _EVENTS),
    "stage": Written(
        "stages of sleep",
        {
            "tsv": Form("_events.tsv", _stages_tsv),
            "edf": Form("_hypnogram.edf", _stages_edf),
            "xml": Form("_hypnogram.xml", _stages_xml),
            "csv": Form("_hypnogram.csv", _stages_csv),
        },
    ),
    "motion": Written("movement", {"tsv": Form("_trajectory.tsv", _motion_tsv)}),
}
"""By the kind of the decoder's rule."""


def chosen_forms(names: str, rule: Rule) -> list[Form]:
    """Return the formats that are asked for.

    Parameters
    ----------
    names
        One or several, separated by commas.
    rule
        Of the decoder.

    Raises
    ------
    ValueError
        If there is no such format of what the decoder gives.
    """
    from ranvier.decoding import rule_as_dict

    what, forms = WRITTEN[rule_as_dict(rule)["kind"]]
    asked = list(dict.fromkeys(name.strip().lower() for name in names.split(",")))
    if unknown := [name for name in asked if name not in forms]:
        raise ValueError(
            f"Invalid format: {', '.join(unknown)!r}, possible options for {what}: "
            f"{', '.join(forms)}"
        )
    return [forms[name] for name in asked]
