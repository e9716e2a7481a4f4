"""How much history a decoder needs: ways to choose, what the choice costs, what it gains.

Yang et al. (Sensors 2021, 21, 6372) choose by attention, as seen on the windows of the test part.
Here the same rule looks at the training part, beside occlusion and blocked validation, which need
no attention; the published way is shown for comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.fitting import Progressed, folder_for
from ranvier.recipe import Recipe
from ranvier.recording import Array, Recording
from ranvier.timesteps.cost import COLUMNS, Cost, cost_of
from ranvier.timesteps.study import ATTENTION, PUBLISHED, Price, Study, study_of

VALIDATION, OCCLUSION = "blocked validation", "occlusion, last training block"


@dataclass(frozen=True)
class Selection:
    """How much history is needed, by each way of choosing and each seed.

    Parameters
    ----------
    windows
        That were tried, in steps; the last is the full one.
    validation
        Quality of each on held-out blocks of the training part, (seed, block, window); those of
        which it is known.
    chosen
        By way of choosing: a window for each seed.
    prices
        By way of choosing: what it costs on the test part, for each seed.
    costs
        Of one answer, by window.
    margin
        Loss of quality that is put up with.
    attention
        How much each step counts on the training part, the oldest first, (seed, step); empty for
        networks without attention.
    left_out
        How many blocks there are of which the quality is not known, such as without a seizure.
    """

    windows: tuple[int, ...]
    validation: Array
    chosen: Mapping[str, Sequence[int]]
    prices: Mapping[str, Sequence[Price]]
    costs: Mapping[int, Cost]
    margin: float
    attention: Array
    left_out: int = 0

    @property
    def full(self) -> int:
        """The longest window."""
        return self.windows[-1]

    def agreement(self, way: str) -> float:
        """Return the share of seeds that agree with the most frequent choice."""
        return Counter(self.chosen[way]).most_common(1)[0][1] / len(self.chosen[way])

    def curve(self) -> list[tuple[str, ...]]:
        """Return the names of the columns, and a row for each window."""
        mean, spread = self.validation.mean(axis=(0, 1)), self.validation.mean(axis=1).std(axis=0)
        rows = [
            (str(window), f"{mean[i]:.3f}", f"{spread[i]:.3f}", *self.costs[window].cells())
            for i, window in enumerate(self.windows)
        ]
        known = self.validation.shape[1]
        over = f", {known} of {known + self.left_out} blocks" if self.left_out else ""
        return [("window", f"validation{over}", "sd of seeds", *COLUMNS), *rows]

    def table(self) -> list[tuple[str, ...]]:
        """Return the names of the columns, and a row for each way of choosing."""
        columns = (
            "chosen by", "windows", "agree", "test", "full", "difference (90 %)", "equivalent",
            "time",
        )  # fmt: skip
        return [columns, *(self._row(way) for way in self.chosen)]

    def _row(self, way: str) -> tuple[str, ...]:
        prices = np.array([one[1:5] for one in self.prices[way]])
        quality, full, low, high = prices.mean(axis=0).tolist()
        equivalent = sum(one.equivalent for one in self.prices[way])
        time = np.mean([self.costs[window].milliseconds for window in self.chosen[way]])
        return (
            way,
            " ".join(str(window) for window in self.chosen[way]),
            f"{self.agreement(way):.0%}",
            f"{quality:.3f}",
            f"{full:.3f}",
            f"{quality - full:+.3f} ({low:+.3f} to {high:+.3f})",
            f"{equivalent} of {len(prices)}",
            f"{time / self.costs[self.full].milliseconds:.0%}",
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain types."""
        return {
            "windows": list(self.windows),
            "validation": self.validation.tolist(),
            "blocks_left_out": self.left_out,
            "chosen": {way: list(windows) for way, windows in self.chosen.items()},
            "prices": {way: [one._asdict() for one in own] for way, own in self.prices.items()},
            "costs": {str(window): one._asdict() for window, one in self.costs.items()},
            "margin": self.margin,
            "attention": self.attention.tolist(),
        }


def select_timesteps(
    recordings: Sequence[Recording],
    recipe: Recipe,
    *,
    windows: Sequence[int] = (),
    seeds: int = 3,
    blocks: int = 4,
    margin: float = 0.01,
    share: float = 0.9,
    out: str | Path | None = None,
    progress: Progressed | None = None,
) -> Selection:
    """Choose how many of the newest steps a network has to look at.

    The last fifth of the recordings (or a fifth of the subjects) is the test part. The rest is cut
    into blocks, each held out once to choose on. Every choice is trained anew, and its loss against
    the full window is measured on the test part.

    Parameters
    ----------
    recordings
        With annotations.
    recipe
        Of a network with a ``window``, which is the full one.
    windows
        Shorter ones to try, in steps; by default five, evenly spread on a logarithmic scale.
    seeds
        How often everything is done anew, so that it shows how far choices agree.
    blocks
        Of the training part.
    margin
        Loss of quality that is put up with.
    share
        Of the attention, which the newest steps must have together.
    out
        Folder where fits are kept, so that a run that was stopped goes on.
    progress
        Told how far it is.

    Raises
    ------
    ValueError
        If the network has no window, a setting is out of its range, or the test part or all blocks
        have targets of one kind alone.

    References
    ----------
    .. [1] Yang et al. 2021, Selection of Essential Neural Activity Timesteps for Intracortical
       Brain-Computer Interface Based on Recurrent Neural Network, Sensors 21, 6372.
    """
    tried = _checked(recipe, windows)
    _check_range(seeds, blocks, margin, share)
    with folder_for(out) as folder:
        study = study_of(recordings, recipe, blocks=blocks, folder=folder, progress=progress)
        study.check_test()
        study = replace(study, most=seeds * len(tried) * len(study.blocks))
        validation = np.array(
            [
                [[study.validated(seed, i, one) for one in tried] for i in range(len(study.blocks))]
                for seed in range(seeds)
            ]
        )
        known = known_blocks(validation)
        found = [
            _choices(study, seed, tried, validation[seed, known].mean(axis=0), margin, share)
            for seed in range(seeds)
        ]
        chosen = {way: [one[way] for one in found] for way in found[0]}
        prices = {way: _prices(study, way, own, margin) for way, own in chosen.items()}
        every = {*tried, *(window for own in chosen.values() for window in own)}
        costs = {window: cost_of(study.fitted(0, window)) for window in sorted(every)}
        seen = [study.attention(seed, study.trained) for seed in range(seeds) if study.attends]
    kept, left_out = validation[:, known], int((~known).sum())
    return Selection(tried, kept, chosen, prices, costs, margin, np.array(seen), left_out)


def known_blocks(validation: Array) -> Array:
    """Return of which blocks the quality is known in each fit, (block,).

    Parameters
    ----------
    validation
        (seed, block, window).

    Raises
    ------
    ValueError
        If there is none.
    """
    known = np.asarray(~np.isnan(validation).any(axis=(0, 2)))
    if not known.any():
        raise ValueError(
            f"Invalid blocks: the quality of none of {len(known)} is known, must be of at least 1"
        )
    return known


def _choices(  # noqa: PLR0917
    study: Study, seed: int, tried: Sequence[int], validation: Array, margin: float, share: float
) -> dict[str, int]:
    """Return the window that each way chooses for a seed; none by occlusion of what tells none."""
    occluded = study.occluded(seed, tried)
    chosen = {VALIDATION: tried[int(np.argmax(validation >= validation.max() - margin))]}
    if not np.isnan(occluded).any():
        chosen[OCCLUSION] = tried[int(np.argmax(occluded >= occluded[-1] - margin))]
    if study.attends:
        for way, part in ((ATTENTION, study.trained), (PUBLISHED, study.test)):
            chosen[way] = newest_with(study.attention(seed, part), share)
    return chosen


def newest_with(attention: Array, share: float) -> int:
    """Return how many of the newest steps together have more than a share of the attention.

    Parameters
    ----------
    attention
        Of each step, the oldest first; of any sum.
    share
        From 0 to 1; 0.9 as published, by which even attention over 20 steps leaves 19.
    """
    newest_first = np.cumsum(attention[::-1]) / attention.sum()
    return min(int(np.argmax(newest_first > share)) + 1, len(attention))


def _prices(study: Study, way: str, chosen: Sequence[int], margin: float) -> list[Price]:
    plain = way in {ATTENTION, PUBLISHED}
    return [study.price(seed, one, margin, plain=plain) for seed, one in enumerate(chosen)]


def _checked(recipe: Recipe, windows: Sequence[int]) -> tuple[int, ...]:
    full = recipe.network_settings.get("window")
    if not isinstance(full, int) or full < 2:
        raise ValueError(
            f"Invalid window: {full}, network_settings must have one of 2 or more steps to choose "
            "from"
        )
    spread = np.unique(np.round(np.geomspace(1, full, 6)).astype(int)).tolist()
    tried = sorted({*(windows or spread), full})
    if not 1 <= tried[0] <= tried[-1] <= full:
        raise ValueError(f"Invalid windows: {list(windows)}, must be from 1 to {full} steps")
    return tuple(tried)


def _check_range(seeds: int, blocks: int, margin: float, share: float) -> None:
    for name, value, least in (("seeds", seeds, 1), ("blocks", blocks, 2)):
        if value < least:
            raise ValueError(f"Invalid {name}: {value}, must be at least {least}")
    if not margin > 0:
        raise ValueError(f"Invalid margin: {margin:g}, must be above 0")
    if not 0 < share < 1:
        raise ValueError(f"Invalid share: {share:g}, must be above 0 and below 1")
