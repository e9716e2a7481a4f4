"""REST and ARNN beside the networks that their papers compare them with, on the same split.

    python benchmarks/comparison.py [OUT] [NETWORK ...]

Eight patients of 25 minutes are simulated and every network is trained and tested by patient in
four folds with the recipe of the package, 12 passes over the data, those in ``SLOW`` fewer. Besides
scores there are the latency of one answer (network alone, batch 1, one thread, median of 50) and
the peak memory of a process that loads the decoder and answers. What is done is kept in OUT and not
run again.
"""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import ranvier as rv
from ranvier.recipe import packaged_recipe
from ranvier.simulate import simulate_seizures

NETWORKS = (
    "rest", "transformer", "dcrnn", "lstm", "vit", "arnn", "inception", "r_transformer", "cct",
    "cnn_lstm",
)  # fmt: skip
PASSES = 12
SLOW = {"inception": 3, "cct": 3, "r_transformer": 3, "cnn_lstm": 3}
REPEATS = 50


def evaluated(network: str, out: Path) -> rv.Evaluation:
    recipe = packaged_recipe("seizure", network)
    passes = SLOW.get(network, PASSES)
    training = replace(recipe.training, passes=passes, patience=passes)
    recordings = simulate_seizures(subjects=8, minutes=25.0)
    recipe = replace(recipe, training=training)
    return rv.evaluate("seizure", recordings, recipe=recipe, out=out, folds=4)


def one_answer(decoder: rv.Decoder) -> float:
    """Return the milliseconds from the last sample of a hop to the answer, network alone."""
    network = decoder._module.eval()
    tail = () if network.features is None else (network.features,)
    shape = (1, network.window, len(network.channels), *tail)
    with torch.inference_mode():
        _, state = network.step(torch.randn(shape), network.initial_state(1))
        hop = torch.randn(1, network.hop, *shape[2:])
        times = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            _, state = network.step(hop, state)
            times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


def peak_memory(path: Path) -> int:
    """Return the peak resident memory in MB of a process that loads a decoder and answers."""
    done = subprocess.run(
        [sys.executable, __file__, "--answer", str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def answer(path: Path) -> None:
    one_answer(rv.load(path))
    status = Path("/proc/self/status").read_text()
    (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    print(int(peak) // 1024)


def row(network: str, out: Path) -> str:
    began = time.monotonic()
    result = evaluated(network, out / network)
    took, pooled = time.monotonic() - began, result.scores.pooled
    decoder = result.folds[0].decoder
    low, high = result.scores.intervals["auroc"]
    weights = sum(p.numel() for p in decoder._module.parameters() if p.requires_grad)
    saved = decoder.save(out / f"{network}.ranvier")
    rate = decoder.rate / decoder._module.hop
    cells = (
        network,
        f"{weights:,}",
        f"{SLOW.get(network, PASSES)}",
        f"{pooled.auroc:.3f} ({low:.2f} to {high:.2f})",
        f"{pooled.events.true_positives} of {pooled.events.references}",
        f"{pooled.events.false_alarms_per_day:.0f}",
        f"{pooled.events.f1:.2f}",
        f"{one_answer(decoder):.2f} ms every {1 / rate:.2g} s",
        f"{peak_memory(saved)} MB",
        f"{took / 60:.1f} min",
    )
    (out / f"{network}.json").write_text(json.dumps(result.scores.as_dict()["pooled"]))
    return f"| {' | '.join(cells)} |"


def main(out: Path, networks: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    print("| network | weights | passes | AUROC (95 % interval) | found |"
          " false alarms / 24 h | F1 | one answer | memory | training and test |")  # fmt: skip
    print("| --- " * 10 + "|")
    for network in networks or NETWORKS:
        print(row(network, out), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--answer"]:
        answer(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1] if sys.argv[1:] else "comparison"), sys.argv[2:])
