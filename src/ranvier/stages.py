"""All stages by name, and pipelines from settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranvier.channels import Coverage
from ranvier.counts import BinCounts, Smooth
from ranvier.features import RunningScale, ScalePerStep, Spectrum, Standardise
from ranvier.recording import Layout
from ranvier.signal import DeriveMontage, Filter, MarkFlat, Pick, Resample
from ranvier.streaming import Pipeline, Stage

STAGES: dict[str, type[Stage]] = {
    "mark_flat": MarkFlat,
    "pick": Pick,
    "derive_montage": DeriveMontage,
    "filter": Filter,
    "resample": Resample,
    "spectrum": Spectrum,
    "scale_per_step": ScalePerStep,
    "standardise": Standardise,
    "running_scale": RunningScale,
    "bin_counts": BinCounts,
    "smooth": Smooth,
}


def build(stages: Sequence[Mapping[str, Any]], layout: Layout) -> Pipeline:
    """Make a pipeline for a layout from settings such as ``{"stage": "filter", "low": 1.0}``.

    Raises
    ------
    ValueError
        If a stage or a setting is unknown, or does not fit the layout.
    """
    built: list[Stage] = []
    for settings in stages:
        options = dict(settings)
        name = options.pop("stage", None)
        if name not in STAGES:
            raise ValueError(f"Invalid stage: {name!r}, possible options: {list(STAGES)}")
        try:
            stage = STAGES[name](built[-1].output if built else layout, **options)  # type: ignore[call-arg]
        except TypeError as error:
            raise ValueError(f"Invalid settings of stage {name!r}: {error}") from None
        built.append(stage)
    return Pipeline(layout, built)


def coverages(pipeline: Pipeline) -> list[Coverage]:
    """Return how each montage in a pipeline is derived."""
    return [stage.coverage for stage in pipeline.stages if isinstance(stage, DeriveMontage)]
