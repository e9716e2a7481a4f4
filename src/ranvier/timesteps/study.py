"""The fits behind a choice of history: blocks held out in turn, and what each fit says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ranvier.decisions import MotionRule
from ranvier.decoder import Decoder
from ranvier.fitting import Progressed, fit_decoder, informative, prepare_annotated, select
from ranvier.lesson import pooled_over_sites
from ranvier.recipe import Recipe
from ranvier.recording import Array, Recording
from ranvier.splits import Fold, cut_in_time, folds_by_subject
from ranvier.store import Prepared

TEST_SHARE = 0.2
MOST_WINDOWS = 2000
"""Windows of a part that attention and occlusion look at, evenly spread."""
PIECES, DRAWS = 20, 1000
CERTAIN = 1e-9
"""Probabilities are kept so far from 0 and 1, so that their logits are finite."""
ALIKE = {"auroc", "kappa", "r2"}
"""Measures that have no meaning where all targets are alike."""
ATTENTION = "attention, training part"
PUBLISHED = "attention, test part (as published)"


class Outputs(NamedTuple):
    """What a decoder said: where, (output,), and logits or values and targets, (output, ...)."""

    places: Array
    values: Array
    targets: Array

    def among(self, other: Outputs) -> Outputs:
        """Return those that the other has, too."""
        _, mine, _ = np.intersect1d(self.places, other.places, return_indices=True)
        return Outputs(*(part[mine] for part in self))


class Price(NamedTuple):
    """What a window costs against the full one: the difference in quality on the test part.

    Parameters
    ----------
    window
        Newest steps that are looked at.
    quality, full
        Of the chosen and of the full window.
    low, high
        90 % interval of the difference, from drawing pieces of the test part anew.
    equivalent
        Whether the whole interval lies within the margin.
    """

    window: int
    quality: float
    full: float
    low: float
    high: float
    equivalent: bool


@dataclass(frozen=True)
class Study:
    """Fits of one recipe with windows of different length.

    Parameters
    ----------
    recipe
        With the full window.
    prepared
        Recordings, or their parts in time.
    blocks, test
        Names of the subjects of each block, and of the test part.
    folder
        Where fits are kept.
    progress
        Told of each fit.
    most
        How many fits there are at most.
    """

    recipe: Recipe
    prepared: Sequence[Prepared]
    blocks: tuple[tuple[str, ...], ...]
    test: tuple[str, ...]
    folder: Path
    progress: Progressed | None = None
    most: int = 0
    done: dict[tuple[int, int, int, bool], Decoder] = field(default_factory=dict)

    @property
    def full(self) -> int:
        """The window of the recipe, in steps."""
        return int(self.recipe.network_settings["window"])

    @property
    def last(self) -> int:
        """Number of the block before the test part, on which final fits choose their pass."""
        return len(self.blocks) - 1

    @property
    def trained(self) -> tuple[str, ...]:
        """What final fits learn from: all blocks but the last."""
        return tuple(name for block in self.blocks[: self.last] for name in block)

    @property
    def attends(self) -> bool:
        """Whether the network says how much each step counts."""
        network = self.fitted(0, self.full)._module
        return hasattr(network, "attend") and getattr(network, "score", None) is not None

    def fitted(
        self, seed: int, window: int, block: int | None = None, *, plain: bool = False
    ) -> Decoder:
        """Fit a window on all blocks but one; ``plain`` leaves attention out, as published."""
        key = seed, window, self.last if block is None else block, plain
        if key not in self.done:
            self.done[key] = self._fit(*key)
            if self.progress:
                self.progress("fitting", len(self.done), max(self.most, len(self.done)))
        return self.done[key]

    def _fit(self, seed: int, window: int, block: int, plain: bool) -> Decoder:  # noqa: FBT001
        train = tuple(name for i, part in enumerate(self.blocks) if i != block for name in part)
        fold = Fold(0, train, self.blocks[block], self.test, in_time=self.recipe.in_time)
        given = self.recipe.network_settings
        settings = {**given, "window": window} | ({"attention": False} if plain else {})
        if given.get("hop"):
            settings["hop"] = min(given["hop"], window)
        recipe = replace(self.recipe, network_settings=settings, seed=self.recipe.seed + seed)
        place = self.folder / f"seed-{seed}-window-{window}-block-{block}{'-plain' * plain}"
        place.mkdir(parents=True, exist_ok=True)
        decoder, _ = fit_decoder(self.prepared, fold, recipe, place, None)
        return decoder

    def outputs(self, decoder: Decoder, part: Sequence[str]) -> Outputs:
        """Return the valid outputs with known targets on a part."""
        places, values, targets = [], [], []
        for number, one in enumerate(select(self.prepared, part)):
            found = decoder.predict_prepared(one)
            truth = one.targets_at(found.times, decoder._module.hop)
            known = found.valid & ~np.isnan(truth).reshape(len(truth), -1).any(axis=1)
            given = found.values[known]
            values.append(given if isinstance(found.rule, MotionRule) else as_logits(given))
            places.append(number * 10**12 + np.round(1e3 * found.times[known]).astype(np.int64))
            targets.append(truth[known])
        return Outputs(*map(np.concatenate, (places, values, targets)))

    def quality(self, outputs: Outputs) -> float:
        """Return how good outputs are by the task's own measure; NaN where it has no meaning."""
        name, measure = next(iter(self.recipe.learnt.qualities.items()))
        if name in ALIKE and len(np.unique(outputs.targets)) < 2:
            return float("nan")
        return measure(outputs.values, outputs.targets)

    def check_test(self) -> None:
        """Refuse a test part on which nothing can be told.

        Raises
        ------
        ValueError
            If it is one.
        """
        if next(iter(self.recipe.learnt.qualities)) not in ALIKE:
            return
        targets = np.concatenate([one.targets() for one in select(self.prepared, self.test)])
        kinds = np.unique(targets[~np.isnan(targets)]).tolist()
        if len(kinds) < 2:
            raise ValueError(
                f"Invalid recordings: the test part ({', '.join(self.test)}) has targets of "
                f"{len(kinds)} kinds, must be of at least 2, such as in and outside seizures"
            )

    def validated(self, seed: int, block: int, window: int) -> float:
        """Return the quality on a held-out block, where the full window has outputs as well."""
        part = self.blocks[block]
        full = self.outputs(self.fitted(seed, self.full, block), part)
        return self.quality(self.outputs(self.fitted(seed, window, block), part).among(full))

    def price(self, seed: int, window: int, margin: float, *, plain: bool) -> Price:
        """Return what a window costs on the test part."""
        plain = plain and window < self.full
        whole = self.outputs(self.fitted(seed, self.full), self.test)
        short = self.outputs(self.fitted(seed, window, plain=plain), self.test).among(whole)
        whole = whole.among(short)
        low, high = self._interval(short, whole)
        equivalent = -margin < low and high < margin
        return Price(window, self.quality(short), self.quality(whole), low, high, equivalent)

    def _interval(self, short: Outputs, whole: Outputs) -> tuple[float, float]:
        pieces = np.array_split(np.arange(len(short.places)), PIECES)
        rng, differences = np.random.default_rng(0), []
        for drawn in rng.integers(PIECES, size=(DRAWS, PIECES)):
            chosen = np.concatenate([pieces[i] for i in drawn])
            one, other = (Outputs(*(part[chosen] for part in of)) for of in (short, whole))
            differences.append(self.quality(one) - self.quality(other))
        low, high = np.nanquantile(differences, [0.05, 0.95])
        return float(low), float(high)

    def attention(self, seed: int, part: Sequence[str]) -> Array:
        """Return how much each step of the full window counts on average, the oldest first."""
        import torch

        decoder = self.fitted(seed, self.full)
        windows, _ = self._windows(decoder, part)
        with torch.inference_mode():
            counted = decoder._module.attend(torch.as_tensor(windows)).mean(dim=0)
        return np.asarray(counted)

    def occluded(self, seed: int, windows: Sequence[int]) -> Array:
        """Return the quality on the last block with all older steps at their mean, (window,)."""
        import torch

        decoder = self.fitted(seed, self.full)
        given, targets = self._windows(decoder, self.blocks[self.last])
        mean = self._windows(decoder, self.trained)[0].mean(axis=(0, 1))
        network, found = decoder._module, []
        for window in windows:
            hidden = given.copy()
            hidden[:, : self.full - window] = mean
            with torch.inference_mode():
                logits, _ = network.step(torch.as_tensor(hidden), network.initial_state(len(given)))
                pooled, _ = pooled_over_sites(logits)
            found.append(self.quality(Outputs(np.zeros(0), pooled[:, -1].numpy(), targets)))
        return np.array(found)

    def _windows(self, decoder: Decoder, part: Sequence[str]) -> tuple[Array, Array]:
        """Return windows as the network takes them, (window, step, ...), and their targets."""
        network, windows, targets = decoder._module, [], []
        for one in select(self.prepared, part):
            features = one.with_stages(decoder.stages).features()
            truth = one.targets(network.window, network.hop)
            known = ~np.isnan(truth).reshape(len(truth), -1).any(axis=1)
            ends = network.window + network.hop * np.flatnonzero(known)
            found = [_window(features, end, self.full, network.window) for end in ends.tolist()]
            windows += [window for window in found if window is not None]
            targets.append(truth[known][[window is not None for window in found]])
        thinned = np.unique(np.linspace(0, len(windows) - 1, MOST_WINDOWS).astype(int))
        return np.stack([windows[i] for i in thinned]), np.concatenate(targets)[thinned]


def as_logits(probabilities: Array) -> Array:
    """Return logits of one class, or of several up to a constant that they share."""
    inside = np.clip(probabilities.astype(float), CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(inside) - (np.log1p(-inside) if inside.shape[1] == 1 else 0.0))


def _window(features: Array, end: int, size: int, least: int) -> Array | None:
    """Return the window before ``end``, with zeros before the start and up to the last gap.

    None where fewer than ``least`` steps are left.
    """
    there = features[max(0, end - size) : end]
    gaps = np.flatnonzero(np.isnan(there).reshape(len(there), -1).any(axis=1))
    whole = there[gaps[-1] + 1 if len(gaps) else 0 :]
    if len(whole) < least:
        return None
    return np.concatenate([np.zeros((size - len(whole), *whole.shape[1:]), whole.dtype), whole])


def study_of(
    recordings: Sequence[Recording],
    recipe: Recipe,
    *,
    blocks: int,
    folder: Path,
    progress: Progressed | None = None,
) -> Study:
    """Cut recordings in time, or deal subjects, into blocks and a test part."""
    shares = (*((1 - TEST_SHARE) / blocks,) * blocks, TEST_SHARE)
    given = cut_in_time(recordings, shares) if recipe.in_time else list(recordings)
    prepared = prepare_annotated(given, recipe, folder / "prepared", None)
    names = sorted({one.subject for one in prepared})
    if recipe.in_time:
        parts = [tuple(n for n in names if f"_part-{i + 1} of " in n) for i in range(blocks + 1)]
        return Study(recipe, prepared, tuple(parts[:-1]), parts[-1], folder, progress)
    known = informative(prepared, recipe.learnt)
    dealt = folds_by_subject(names, folds=min(blocks + 1, len(names)), informative=known)
    first, *rest = [fold.test for fold in dealt]
    return Study(recipe, prepared, tuple(rest), first, folder, progress)
