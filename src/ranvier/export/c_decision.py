"""Decisions in C, each with the struct of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.decisions import Alarm
from ranvier.export.c_constants import number
from ranvier.export.c_part import Part, Place


def emit_alarm(decision: Alarm, place: Place) -> Part:
    """Emit the alarms: hysteresis, least duration, merging and rest."""
    rule = decision.rule
    seconds = {
        "first": decision.first,
        "rate": decision.rate,
        "hop": decision.hop,
        "threshold": rule.threshold,
        "release": rule.release,
        "rest": rule.refractory_seconds - 1e-9,
        "minimum": rule.minimum_seconds - 1e-9,
        "merge": rule.merge_seconds - 1e-9,
    }
    margin = {1: "logits[0]", 2: "logits[1] - logits[0]"}
    numbers = {name: number(value, "double") for name, value in seconds.items()}
    flags = ("event", "above", "raised", "alarmed")
    return Part(
        place,
        place.fill("alarm", margin=margin[place.size], **numbers),
        "",
        0,
        needs=("state",),
        uses=("bits", "power_of_two", "exponential"),
        state=(
            *(place.field("double", name) for name in ("onset", "end", "last", "seconds")),
            place.field("float", "peak"),
            place.field("uint32_t", "answered"),
            *(place.field("uint8_t", name) for name in flags),
        ),
        operations=30,
    )


EMITTERS: dict[type[Any], tuple[str, Callable[[Any, Place], Part]]] = {Alarm: ("alarm", emit_alarm)}
"""The name of each decision, which its struct of answers bears as well, and what emits it."""
