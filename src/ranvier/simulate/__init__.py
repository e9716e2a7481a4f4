"""Recordings of subjects who never were, whose truth is known."""

from __future__ import annotations

from ranvier.simulate.days import simulate_days
from ranvier.simulate.movement import simulate_reaches
from ranvier.simulate.seizures import simulate_patient, simulate_seizures
from ranvier.simulate.sleep import simulate_nights

__all__ = [
    "simulate_days",
    "simulate_nights",
    "simulate_patient",
    "simulate_reaches",
    "simulate_seizures",
]
