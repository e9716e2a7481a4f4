"""What nine past epochs and a temperature are worth for staging, on simulated sleepers.

    python benchmarks/sleep_context.py [OUT]

AttnSleep is trained and tested by subject with the recipe of the package, once on single epochs and
once with a small recurrent network over the epochs before (``context=9``, which is learnt in a
round of its own), on the same sleepers, folds and passes, for several seeds of training. Given are
kappa and macro-F1, the difference with its 95 % interval from drawing sleepers anew, and the
calibration error of the held-out nights with the temperature that was chosen on validation sleepers
and without it. What is done is kept in OUT.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import ranvier as rv
from ranvier.decisions import softmax
from ranvier.recipe import packaged_recipe
from ranvier.simulate import simulate_nights
from ranvier.tasks.agreement import calibration_error

SUBJECTS, MINUTES, FOLDS, PASSES, SEEDS = 9, 240.0, 3, 10, (0, 1)
CONTEXTS = {"one epoch": 0, "with nine past epochs": 9}
DRAWS = 2000
Floats = npt.NDArray[np.float64]


def evaluated(context: int, seed: int, out: Path) -> rv.Evaluation:
    recipe = packaged_recipe("sleep", "attn_sleep")
    training = replace(recipe.training, passes=PASSES, patience=PASSES)
    settings = {**recipe.network_settings, "context": context}
    recipe = replace(recipe, training=training, network_settings=settings, seed=seed)
    nights = simulate_nights(subjects=SUBJECTS, hours=MINUTES / 60)
    place = out / f"context-{context}-seed-{seed}"
    return rv.evaluate("sleep", nights, recipe=recipe, out=place, folds=FOLDS)


def kappas(evaluation: rv.Evaluation) -> dict[str, float]:
    return {name: one.kappa for name, one in evaluation.scores.subjects.items()}


def drawn(differences: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the mean over sleepers, (seed, sleeper)."""
    rng = np.random.default_rng(0)
    sleepers = rng.integers(differences.shape[1], size=(DRAWS, differences.shape[1]))
    means = differences.mean(axis=0)[sleepers].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def errors(evaluation: rv.Evaluation) -> tuple[float, float]:
    """Return the calibration error of all held-out epochs, and that without the temperature."""
    with_it, without, stages = [], [], []
    for fold in evaluation.folds:
        scale, _ = fold.decoder.provenance["calibration"]
        for one in fold.predictions:
            targets = one.targets(fold.truth[one.name])
            known = one.valid & ~np.isnan(targets)
            probabilities = one.values[known]
            with_it.append(probabilities)
            without.append(softmax(np.log(np.maximum(probabilities, 1e-12)) / scale))
            stages.append(targets[known].astype(int))
    every = np.concatenate(stages)
    return tuple(calibration_error(np.concatenate(one), every) for one in (with_it, without))  # type: ignore[return-value]


def main(out: Path) -> None:
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTEXTS}
    print(
        "| network | seed | kappa | macro-F1 | ECE | ECE without temperature |\n" + "|---" * 6 + "|"
    )
    for seed in SEEDS:
        for name, context in CONTEXTS.items():
            result = evaluated(context, seed, out)
            found[name].append(kappas(result))
            pooled, ece = result.scores.pooled, errors(result)
            cells = f"{pooled.kappa:.3f}", f"{pooled.macro_f1:.3f}", *(f"{one:.3f}" for one in ece)
            print(f"| {name} | {seed} | {' | '.join(cells)} |", flush=True)
    before, after = (
        np.array([[one[name] for name in sorted(one)] for one in found[kind]]) for kind in CONTEXTS
    )
    low, high = drawn(after - before)
    print(f"difference in kappa {np.mean(after - before):+.3f} ({low:+.3f} to {high:+.3f})")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "sleep-context"))
