"""Decoded movement as a table: seconds, then one column for each axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ranvier.truth import Trajectory
from ranvier.writing import write_text


def write_trajectory(path: Path, trajectory: Trajectory) -> Path:
    """Write one row for each sample; what is not known is n/a.

    Parameters
    ----------
    path
        Of the table; it appears whole or not at all.
    trajectory
        Its axes and unit are the names of the columns, such as ``x [cm/s]``.
    """
    columns = "\t".join(["time [s]", *(f"{axis} [{trajectory.unit}]" for axis in trajectory.axes)])
    times = trajectory.first + np.arange(len(trajectory)) / trajectory.rate
    rows = (
        "\t".join([f"{time:.6g}", *("n/a" if np.isnan(v) else f"{v:.6g}" for v in values)])
        for time, values in zip(times.tolist(), trajectory.values.tolist(), strict=True)
    )
    return write_text(path, "\n".join([columns, *rows]) + "\n")
