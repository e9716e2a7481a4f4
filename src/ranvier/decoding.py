"""Decoding a signal: the chain from samples to decisions, and what it says about a recording."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ranvier.decisions import (
    AlarmRule,
    Decision,
    MotionRule,
    Rule,
    StageRule,
    TypeRule,
    alarm_times,
    make_decision,
)
from ranvier.recording import COUNT, MICROVOLTS, Array, Layout, Recording
from ranvier.runtime import pool_sites
from ranvier.store import Prepared
from ranvier.streaming import Pipeline, State, arrays_of
from ranvier.truth import Events, Truth
from ranvier.writing import replacing


class Output(NamedTuple):
    """What a decoder says in one step; axes (batch, output, ...)."""

    times: Array
    """Seconds from the start at which the outputs are known, (output,)."""
    values: Array
    """Probabilities or physical values, (batch, output, class); NaN where not valid."""
    rows: Array
    """As the decision gives them."""
    sites: Array
    """Value of each site on its own, (batch, output, site); no sites where that has no meaning."""


@dataclass(frozen=True)
class Chain:
    """A decoder made for one layout, with the contract of ``streaming``.

    Parameters
    ----------
    pipeline
        From the signal to the logits of the sites.
    decision
        From values to what is decided.
    """

    pipeline: Pipeline
    decision: Decision

    @property
    def layout(self) -> Layout:
        """What comes in."""
        return self.pipeline.layout

    @property
    def rate(self) -> float:
        """Samples per second that come in."""
        return self.layout.rate

    @property
    def hop(self) -> float:
        """Seconds between outputs."""
        return self.pipeline.hop

    @property
    def delay(self) -> float:
        """Seconds by which a decision lags behind the signal it is made on, at the least."""
        return self.pipeline.delay + self.decision.delay

    def outputs(self, samples: int) -> int:
        """Return how many outputs are known once this many samples have come in."""
        return self.pipeline.outputs(samples)

    def initial_state(self, batch: int) -> State:
        """Return the state before the first sample."""
        return (
            np.array(0),
            self.pipeline.initial_state(batch),
            self.decision.initial_state(batch),
        )

    def step(self, chunk: Array, state: State) -> tuple[Output, State]:
        """Take a chunk, (batch, time, channels) in the unit of ``layout``, and return new outputs.

        Raises
        ------
        ValueError
            If the chunk does not have these channels, or the state is one of another batch.
        """
        seen, before, decided = state
        _check_batch(np.asarray(chunk), before)
        logits, before = self.pipeline.step(chunk, before)
        values = self.decision.values(pool_sites(logits))
        rows, decided = self.decision.step(values, decided)
        outputs = values.shape[1]
        times = self.decision.first + (int(seen) + np.arange(outputs)) / self.decision.rate
        sites = self.decision.values(logits)[..., 0] if self.decision.per_site else rows[..., :0]
        return Output(times, values, rows, sites), (seen + outputs, before, decided)


def _check_batch(chunk: Array, state: State) -> None:
    batch = next((array.shape[:1] for array in arrays_of(state) if array.ndim), chunk.shape[:1])
    if chunk.shape[:1] != batch:
        raise ValueError(
            f"Invalid chunk: shape {chunk.shape}, must be (batch, time, channels) with a batch of "
            f"{batch[0]}, as the state has"
        )


def check_unit(task: str, unit: str) -> None:
    """Refuse a unit in which the recordings of a task do not come.

    Raises
    ------
    ValueError
        If it is not µV, nor counts, which movement alone is decoded from.
    """
    allowed = [name for name, factor in MICROVOLTS.items() if factor == 1]
    allowed += [COUNT] if task == "movement" else []
    if unit not in allowed:
        raise ValueError(f"Invalid unit: {unit!r}, possible options: {allowed}")


@dataclass(frozen=True, eq=False)
class Prediction:
    """All that a decoder has to say about one recording.

    Parameters
    ----------
    name, subject, duration
        Of the recording.
    hop
        Seconds between outputs.
    times
        Seconds at which the outputs are known, (output,).
    values
        Probabilities or physical values, (output, class); NaN where not valid.
    rows
        As the decision gives them, (output, column).
    sites, site_names
        Value of each site, (output, site), and what the sites are called.
    rule
        How it was decided.
    notes
        What was repaired, missing or not valid, one sentence each.
    start
        Date and time of second 0 in ISO form, where it is known.
    """

    name: str
    subject: str
    duration: float
    hop: float
    times: Array
    values: Array
    rows: Array
    sites: Array
    site_names: tuple[str, ...]
    rule: Rule
    notes: tuple[str, ...] = ()
    start: str = ""

    @property
    def decision(self) -> Decision:
        """What decided."""
        first = float(self.times[0]) if len(self.times) else 0.0
        return make_decision(self.rule, 1 / self.hop, first)

    @cached_property
    def decoded(self) -> Truth:
        """What was decided."""
        return self.decision.decoded(self.rows, self.values, self.times, self.duration)

    @property
    def events(self) -> Events:
        """What was detected.

        Raises
        ------
        ValueError
            If the decoder detects no events.
        """
        if not isinstance(self.decoded, Events):
            raise ValueError(
                f"Invalid task: there are no events in a {type(self.decoded).__name__}"
            )
        return replace(
            self.decoded, start=datetime.fromisoformat(self.start) if self.start else None
        )

    @property
    def probability(self) -> Array:
        """Of the first class, (output,); NaN where not valid."""
        return np.asarray(self.values[:, 0])

    def decided_by(self, rule: Rule) -> Prediction:
        """Decide again, from the same values."""
        changed = replace(self, rule=rule)
        if not len(self.times):
            return changed
        decision = changed.decision
        rows, _ = decision.step(self.values[None], decision.initial_state(1))
        return replace(changed, rows=rows[0])

    def where_valid(self, other: Prediction) -> Prediction:
        """Keep the outputs during which another prediction of the recording is valid as well."""
        last = np.searchsorted(other.times, self.times - 1e-6)
        inside = last < len(other.times)
        last = np.where(inside, last, 0)
        known = inside & (other.times[last] - other.hop <= self.times + 1e-6) & other.valid[last]
        masked = replace(self, values=np.where(known[:, None], self.values, np.nan))
        return masked.decided_by(self.rule)

    def targets(self, truth: Truth) -> Array:
        """Return what is true for each output; NaN where it is not known."""
        return truth.targets(self.times, self.hop)

    @property
    def alarms(self) -> Array:
        """Seconds at which an alarm was raised."""
        return alarm_times(self.rows, self.times)

    @property
    def valid(self) -> Array:
        """Whether each output is valid."""
        return np.asarray(~np.isnan(self.values).any(axis=1))


def collect(
    outputs: Sequence[Output],
    recording: Recording | Prepared,
    *,
    hop: float,
    rule: Rule,
    notes: Sequence[str],
    sites: Sequence[str],
    absent: Sequence[str] = (),
) -> Prediction:
    """Join the outputs of one stream to a prediction.

    Parameters
    ----------
    outputs
        In order.
    recording
        What was decoded.
    hop
        Seconds between outputs.
    rule
        How it was decided.
    notes
        What is known of the recording already.
    sites, absent
        Names of the sites, and which of them are known to be missing.
    """
    times = np.concatenate([output.times for output in outputs])
    values, rows, per_site = (
        np.concatenate([getattr(output, name)[0] for output in outputs])
        for name in ("values", "rows", "sites")
    )
    names = tuple(sites) if per_site.shape[1] else ()
    silent = dict(zip(names, per_site.T, strict=True))
    start = recording.start if isinstance(recording, Recording) else None
    return Prediction(
        recording.name,
        recording.subject,
        recording.duration,
        hop,
        times,
        values,
        rows,
        per_site,
        names,
        rule,
        (*notes, *_validity_notes(values[:, :1].mean(axis=1), silent, absent)),
        start.isoformat() if start else "",
    )


def _validity_notes(
    probability: Array, per_site: Mapping[str, Array], absent: Sequence[str]
) -> list[str]:
    invalid = np.isnan(probability)
    if not len(invalid):
        return ["shorter than one window: nothing could be decided"]
    if invalid.all():
        return [f"none of {len(invalid)} outputs is valid"]
    notes = []
    if gaps := int(invalid[np.argmin(invalid) :].sum()):
        notes.append(f"{gaps} of {len(invalid)} outputs are not valid: the signal has gaps")
    silent = {site: np.isnan(values[~invalid]).mean() for site, values in per_site.items()}
    weak = [site for site, share in silent.items() if share > 0.05 and site not in absent]
    if weak:
        notes.append(f"not valid for more than 5 % of the time: {', '.join(weak)}")
    return notes


RULES: dict[str, type[Rule]] = {
    "alarm": AlarmRule,
    "stage": StageRule,
    "type": TypeRule,
    "motion": MotionRule,
}


def rule_from(about: Mapping[str, Any]) -> Rule:
    """Make a rule from plain types."""
    return RULES[about["kind"]](**{name: about[name] for name in about if name != "kind"})


def rule_as_dict(rule: Rule) -> dict[str, Any]:
    """Return a rule in plain types, with its kind."""
    kind = next(name for name, cls in RULES.items() if isinstance(rule, cls))
    return {"kind": kind, **asdict(rule)}


def predictions_to(path: Path, predictions: Sequence[Prediction]) -> Path:
    """Write predictions to one file; it appears whole or not at all."""
    arrays: dict[str, Array] = {}
    for number, one in enumerate(predictions):
        described = {
            name: getattr(one, name)
            for name in ("name", "subject", "duration", "hop", "site_names", "notes", "start")
        }
        about = json.dumps({**described, "rule": rule_as_dict(one.rule)})
        values = (about, one.times, one.values, one.rows, one.sites.astype(np.float32))
        arrays |= {f"{number}.{i}": np.asarray(value) for i, value in enumerate(values)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return path


def predictions_from(path: Path) -> list[Prediction]:
    """Read what ``predictions_to`` wrote."""
    predictions = []
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        for number in range(len(stored.files) // 5):
            about, times, values, rows, sites = (stored[f"{number}.{i}"] for i in range(5))
            known = json.loads(str(about))
            known |= {name: tuple(known[name]) for name in ("site_names", "notes")}
            known["rule"] = rule_from(known["rule"])
            predictions.append(
                Prediction(times=times, values=values, rows=rows, sites=sites, **known)
            )
    return predictions
