"""Decoders of velocity on one real session of centre-out reaches, chosen blind and tested once.

    python benchmarks/reach.py choose [SESSION.npz]
    python benchmarks/reach.py test [SESSION.npz]
    python benchmarks/reach.py nested [SESSION.npz]

``choose`` sees the first 80 % of the trials alone: each candidate is trained on four of five blocks
of these trials and scored on the fifth, in turn, and the best settings of each decoder go to
``benchmarks/reach_choice.json`` with the number of passes that was best on average; where there is
one candidate there is nothing to choose. ``test`` trains the chosen decoders on all of the 80 % and
scores them once on every bin of the last 20 %. No window reaches beyond its trial: what a window
would see before it is no spikes. Differences to ridge with history come with an interval from
drawing the test trials anew.

``nested`` rests on no single test part: each of five blocks of all trials is scored once, by
decoders whose settings and passes were chosen as above inside the other four, the settings between
the first and the last candidate, to have it done in an hour. Training and choice see trials before
and after a block. What has nothing to choose is left out.

The session is not part of the project; see the docs for where it comes from.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ranvier.fit import fit
from ranvier.formats import read_one
from ranvier.networks import make_network
from ranvier.recording import Recording
from ranvier.stages import build
from ranvier.store import Prepared, prepare
from ranvier.tasks import make_task
from ranvier.tasks.movement import r2
from ranvier.training import Training

SESSION = Path(__file__).parents[2] / "shared/data/reach_chewie/chewie_20131003.npz"
CHOICE = Path(__file__).with_name("reach_choice.json")
BLOCKS = 5
SEEDS = 3
DRAWS = 2000
TASK = make_task("movement")
TRAINING = Training(
    passes=120, patience=120, stretch=10.0, segment=10.0, batch=16, background=0.0,
    learning_rate=3e-3, weight_decay=0.01, eval_batch=64,
)  # fmt: skip
CANDIDATES: dict[str, list[tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "ridge with history": [("wiener", {"window": window}, {}) for window in (4, 6, 8)],
    "ridge with history, counts as they are": [
        ("wiener", {"window": window}, {"scaled": False}) for window in (4, 6, 8)
    ],
    "Kalman filter": [("kalman", {"lag": lag}, {}) for lag in (0, 1)],
    "GRU": [
        ("gru", {"memory": "carry", "window": 1, "hidden": hidden, "dropout": dropout}, {})
        for hidden, dropout in ((96, 0.3), (96, 0.5), (192, 0.5), (256, 0.6))
    ]
    + [
        (
            "gru",
            {"memory": "carry", "window": 1, "hidden": hidden, "dropout": dropout},
            {"weight_decay": decay, "scaled": False},
        )
        for hidden, dropout, decay in ((256, 0.6, 0.01), (192, 0.5, 0.1))
    ],
    "temporal attention, a size for 1300 bins": [
        (
            "temporal_attention_lstm",
            {"window": window, "hidden": hidden, "dense": 32, "dropout": 0.5},
            {"passes": 60, "weight_decay": 0.1, **scaled},
        )
        for window, hidden, scaled in (
            (6, 32, {}), (6, 64, {}), (10, 32, {}),
            (6, 32, {"scaled": False}), (6, 64, {"scaled": False}),
        )
    ],
    "temporal attention, as published": [
        (
            "temporal_attention_lstm",
            {"window": 20},
            {
                "optimiser": "adam", "learning_rate": 1e-4, "weight_decay": 0.0, "passes": 60,
                "batch": 8, "scaled": False,
            },
        )
    ],
}  # fmt: skip
"""Network, its settings, and what differs in training; counts are scaled unless told otherwise."""


def trials_of(recording: Recording) -> list[Recording]:
    """Cut at the gaps between trials, so that no window can reach over one."""
    gap = np.isnan(recording.reader(0, recording.samples)).all(axis=1)
    borders = np.flatnonzero(np.diff(np.concatenate([[True], gap, [True]]).astype(int)))
    rate, cut = recording.layout.rate, []
    for number, (first, last) in enumerate(borders.reshape(-1, 2) / rate):
        name = f"trial-{number:03}"
        cut.append(replace(recording.until(last).since(first), name=name, subject=name))
    return cut


def begun_before(trial: Recording, bins: int) -> Recording:
    """Put bins without spikes before a trial, of which nothing is to be decoded."""
    counts = trial.reader(0, trial.samples)
    silence = np.zeros((bins, counts.shape[1]), np.float32)
    unknown = np.full((bins, 2), np.nan)
    values = np.concatenate([unknown, trial.trajectory.values])
    trajectory = replace(trial.trajectory, values=values, duration=len(values) / trial.layout.rate)
    return Recording.from_array(
        np.concatenate([silence, counts]),
        trial.layout.rate,
        trial.layout.channels,
        unit="count",
        name=trial.name,
        subject=trial.name,
        trajectory=trajectory,
    )


def ready_for(candidate: Any, trials: Sequence[Recording], folder: str) -> list[Prepared]:
    """Prepare trials with as much silence before them as the windows of a network need."""
    before = candidate[1].get("window", 1) - 1
    begun = [begun_before(trial, before) for trial in trials]
    return prepare(begun, [], Path(folder), truth_of=TASK.truth_of)


def standardised(train: Sequence[Prepared], other: Sequence[Prepared], candidate: Any) -> Any:
    """Scale counts by the mean and deviation of the training trials, where that is wanted."""
    if not candidate[2].get("scaled", True):
        return train, other
    counts = np.concatenate([one.stored for one in train])
    stage = {
        "stage": "standardise",
        "mean": counts.mean(axis=0).tolist(),
        "deviation": counts.std(axis=0).tolist(),
    }
    scale = build([stage], train[0].layout)
    return ([replace(one, rest=scale) for one in part] for part in (train, other))


def outputs_of(network: Any, trials: Sequence[Prepared]) -> Iterator[np.ndarray]:
    """Decode each trial, (bin, axis)."""
    for trial in trials:
        with torch.inference_mode():
            signal = torch.tensor(trial.features())[None]
            logits, _ = network.step(signal, network.initial_state(1))
        yield logits[0, :, 0].numpy()


def trained(
    candidate: tuple[str, Mapping[str, Any], Mapping[str, Any]],
    train: Sequence[Prepared],
    validation: Sequence[Prepared],
    *,
    seed: int = 0,
) -> tuple[Any, Any]:
    name, settings, changes = candidate
    torch.manual_seed(seed)
    network = make_network(name, train[0].layout.channels, settings)
    options = replace(TRAINING, **{k: v for k, v in changes.items() if k != "scaled"})
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(network, TASK, train, validation, options, Path(folder), seed=seed)
    return network.eval(), fitted


def choose(session: Path) -> None:
    trials = trials_of(read_one(session))
    known = trials[: round(0.8 * len(trials))]
    print(f"{len(known)} of {len(trials)} trials", flush=True)
    CHOICE.write_text(json.dumps(chosen(known, CANDIDATES), indent=1) + "\n")


def chosen(known: Sequence[Recording], candidates: Mapping[str, Any]) -> dict[str, Any]:
    """Return the best settings of each decoder by blocked validation."""
    best = {}
    for decoder, options in candidates.items():
        results = [blocked(one, known, alone=len(options) == 1) for one in options]
        best[decoder] = max(results, key=lambda one: one["r2"] or 0.0)
    return best


def blocked(candidate: Any, known: Sequence[Recording], *, alone: bool) -> dict[str, Any]:
    """Return the mean R² over held-out blocks, and the best number of passes on average."""
    name, settings, changes = candidate
    result = {"network": name, "settings": settings, "training": changes, "r2": None}
    began, curves = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        ready = ready_for(candidate, known, folder)
        for block in [] if alone else np.array_split(np.arange(len(ready)), BLOCKS):
            rest = [one for i, one in enumerate(ready) if i not in block]
            train, held = standardised(rest, [ready[i] for i in block], candidate)
            _, fitted = trained(candidate, train, held)
            curves.append([one["score"] for one in fitted.history])
    if curves:
        mean = np.mean(curves, axis=0)
        result["training"] = {**changes, "passes": int(mean.argmax()) + 1}
        result["r2"] = round(float(mean.max()), 4)
    print(json.dumps({**result, "seconds": round(time.monotonic() - began)}), flush=True)
    return result


def test(session: Path) -> None:
    trials = trials_of(read_one(session))
    first = round(0.8 * len(trials))
    truth = [one.trajectory.values for one in trials[first:]]
    print(f"{len(truth)} test trials, {sum(map(len, truth))} bins", flush=True)
    ridge: list[np.ndarray] = []
    for decoder, one in json.loads(CHOICE.read_text()).items():
        runs = decoded(one, trials[:first], trials[first:], SEEDS)
        ridge = runs[0] if decoder.startswith("ridge") else ridge
        tell(decoder, truth, runs, ridge)


def decoded(
    choice: Mapping[str, Any], known: Sequence[Recording], held: Sequence[Recording], seeds: int
) -> list[list[np.ndarray]]:
    """Return what a chosen decoder says of each held-out trial, once for each seed."""
    candidate = choice["network"], choice["settings"], choice["training"]
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        ready = ready_for(candidate, [*known, *held], folder)
        train, other = standardised(ready[: len(known)], ready[len(known) :], candidate)
        for seed in range(1 if choice["network"] in {"wiener", "kalman"} else seeds):
            network, _ = trained(candidate, train, train, seed=seed)
            runs.append(list(outputs_of(network, other)))
    weights = sum(p.numel() for p in network.parameters() if p.requires_grad)
    print(f"{choice['network']}: {weights} weights", flush=True)
    return runs


def tell(decoder: str, truth: Any, runs: Any, ridge: Any) -> None:
    scores = np.array([r2(np.concatenate(truth), np.concatenate(run)) for run in runs])
    low, high = interval(truth, runs, ridge)
    gain, spread = scores.mean() - r2_mean(truth, ridge), scores.mean(axis=1).std()
    print(
        f"{decoder}: x {scores[:, 0].mean():.3f}, y {scores[:, 1].mean():.3f}, "
        f"sd over {len(runs)} seeds {spread:.3f}, to ridge {gain:+.3f} [{low:+.3f}, {high:+.3f}]",
        flush=True,
    )


def nested(session: Path) -> None:
    trials = trials_of(read_one(session))
    choosing = {
        name: [options[0], options[-1]] for name, options in CANDIDATES.items() if len(options) > 1
    }
    said: dict[str, list[np.ndarray]] = {name: [] for name in choosing}
    for block in np.array_split(np.arange(len(trials)), BLOCKS):
        known = [one for i, one in enumerate(trials) if i not in block]
        held = [trials[i] for i in block]
        for decoder, choice in chosen(known, choosing).items():
            print(f"trials {block[0]} to {block[-1]}, {decoder}: {choice}", flush=True)
            said[decoder] += decoded(choice, known, held, 1)[0]
    truth = [one.trajectory.values for one in trials]
    ridge = max((one for name, one in said.items() if "ridge" in name), key=partial(r2_mean, truth))
    for decoder, run in said.items():
        tell(decoder, truth, [run], ridge)


def r2_mean(truth: Sequence[np.ndarray], run: Sequence[np.ndarray]) -> float:
    return float(r2(np.concatenate(truth), np.concatenate(run)).mean())


def interval(truth: Any, runs: Any, ridge: Any) -> tuple[float, float]:
    """Return the 95 % interval of the difference to ridge over trials drawn anew."""
    rng, differences = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = rng.integers(len(truth), size=len(truth))
        marked, plain = [truth[i] for i in drawn], [ridge[i] for i in drawn]
        score = np.mean([r2_mean(marked, [run[i] for i in drawn]) for run in runs])
        differences.append(score - r2_mean(marked, plain))
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"choose": choose, "test": test, "nested": nested}[sys.argv[1]](
        Path(sys.argv[2]) if sys.argv[2:] else SESSION
    )
