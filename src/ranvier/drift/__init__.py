"""Decoders over days: what drift costs, what wins it back, and when to recalibrate."""

from __future__ import annotations

from ranvier.drift.matrix import DriftMatrix, Point, calibration_curve, drift_matrix
from ranvier.drift.readout import refit_readout
from ranvier.drift.watch import Watch, fit_watch

__all__ = [
    "DriftMatrix",
    "Point",
    "Watch",
    "calibration_curve",
    "drift_matrix",
    "fit_watch",
    "refit_readout",
]
