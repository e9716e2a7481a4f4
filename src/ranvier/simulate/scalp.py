"""What each lead sees of a source under the scalp."""

from __future__ import annotations

import numpy as np

from ranvier.channels import TEN_TWENTY, position
from ranvier.recording import Array, Signal

TEMPORAL = ("T3", "T4", "F7", "F8")
MUSCLES = ("Fp1", "Fp2", *TEMPORAL)

_PLACES = np.stack([position(name) for name in TEN_TWENTY])


def distances_to(site: str) -> Array:
    """Return how far each lead is from an electrode, (lead, 1) in radii of the head."""
    return np.asarray(np.linalg.norm(_PLACES - position(site), axis=1)[:, None])


def reach(sites: str, width: float) -> Signal:
    """How strongly each lead sees a source under these electrodes, 1 right above it."""
    places = np.stack([position(site) for site in sites.split()])
    distances = np.linalg.norm(_PLACES[:, None] - places, axis=2).min(axis=1)
    return np.asarray(np.exp(-((distances / width) ** 2) / 2), dtype=np.float32)
