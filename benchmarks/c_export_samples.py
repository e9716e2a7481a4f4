"""ARNN, the LSTM and Inception in C: how fast a window is, how large they are, how near to Python.

    python benchmarks/c_export_samples.py [speed | near ...]

All have random weights. Speed is told against the textbook forms in ``benchmarks/reference``, and
for the LSTM against PyTorch's own, as ``c_export.py`` does it: both take turns in one process.
"""

import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from c_export import FORMS, STRICT, built_example, exported, pointer, said_of, timed
from reference import arnn, inception

import ranvier as rv
from ranvier.channels import DOUBLE_BANANA
from ranvier.networks import make_network
from ranvier.recipe import packaged_settings
from ranvier.simulate import simulate_patient

WINDOW = 1024
SAMPLES = """
#include "rest.c"

static rest_state state;
static rest_scratch scratch;

void begin(void)
{{
    rest_start(&state);
    (void)scratch;
}}

void samples(const {type} *from, int count, float *logits)
{{
    for (int i = 0; i < count; i++)
        {network}({needs}from + i * {channels}, logits);
}}
"""
TAKEN = {
    "arnn": ("float", "&state, &scratch, "),
    "lstm": ("float", "&state, "),
    "inception": ("rest_wide", "&state, &scratch, "),
}
"""What comes into each network in C, and what its function takes before that."""

SIZES = ("constants", "state", "scratch", "code", "stack", "operations")
CASES = [
    ("arnn", {"memory": "window"}),
    ("arnn", {"memory": "carry"}),
    ("lstm", {"memory": "window"}),
    ("lstm", {"memory": "carry", "warm_up": 16}),
    ("inception", {"hop": 1000}),
]


def sample_decoder(network: str, settings: Mapping[str, object]) -> rv.Decoder:
    """Return a decoder with random weights, after the stages of its recipe."""
    stages = [dict(stage) for stage in packaged_settings("seizure", network)["stages"]]
    if stages[-1]["stage"] == "standardise":
        stages[-1] |= {"mean": [0.0] * 18, "deviation": [30.0] * 18}
    torch.manual_seed(1)
    module = make_network(network, DOUBLE_BANANA, settings)
    module.rescale(10.0, 0.0)
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    rate = stages[2]["rate_out"]
    return rv.Decoder("seizure", tuple(stages), DOUBLE_BANANA, rate, network, settings, weights)


def textbook_of(network: str) -> Callable[[], object]:
    """Return the textbook's answer to a window of 18 derivations."""
    channels = len(DOUBLE_BANANA)
    if network == "arnn":
        textbook, window = arnn.ARNN(channels=channels).eval(), torch.randn(1, WINDOW, channels)
        return lambda: textbook(window)
    if network == "lstm":
        layer, window = (
            torch.nn.LSTM(channels, 40, batch_first=True),
            torch.randn(1, WINDOW, channels),
        )
        return lambda: layer(window)
    units, windows = inception.TextbookInception().eval(), torch.randn(channels, WINDOW, 1)
    return lambda: units(windows, heads=False)


def samples_in_c(
    network: str,
    decoder: rv.Decoder,
    flags: tuple[str, ...],
    window: np.ndarray | None = None,
    **options: Any,
) -> Callable[[], object]:
    """Return a window of samples through the network in C alone, by default one of noise."""
    folder, channels = Path(tempfile.mkdtemp()), len(decoder.channels)
    exported(folder, decoder, compiler="", **options)
    kind, needs = TAKEN[network]
    given = {"type": kind, "needs": needs, "network": network, "channels": channels}
    (folder / "samples.c").write_text(SAMPLES.format(**given))
    words = ["cc", *STRICT, *flags, "-shared", "-fPIC", str(folder / "samples.c")]
    subprocess.run([*words, "-o", str(folder / "samples.so")], check=True)
    built, logits = ctypes.CDLL(str(folder / "samples.so")), np.zeros(2, np.float32)
    classes = int(decoder.network_settings.get("classes", 1))
    ctype = np.float32 if kind == "float" else np.float64
    noise = np.random.default_rng(0).normal(0, 1, (WINDOW, channels))
    given_in = np.ascontiguousarray(noise if window is None else window, ctype)

    def answer() -> object:
        built.begin()
        built.samples(pointer(given_in), len(given_in), pointer(logits))
        return logits[:classes]

    return answer


def speed() -> None:
    """A window of 1024 samples of 18 derivations through each network."""
    print("| network | form | median | ratio |\n|---|---|---|---|")
    for network in TAKEN:
        settings = {"hop": WINDOW} if network == "inception" else {"memory": "window"}
        decoder = sample_decoder(network, settings)
        forms = {f"{network} | textbook": (textbook_of(network), 1)}
        for name, flags in FORMS.items():
            forms[f"{network} | {name}"] = (samples_in_c(network, decoder, flags), 1)
        timed(forms, 15)


def near() -> None:
    """Sizes, and how near ten minutes of a simulated patient are to Python."""
    heads = ("network", "memory", "weights", *SIZES, "median", "largest", "alarms")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for network, settings in CASES:
        for weights in ("float32", "int8"):
            print(f"| {' | '.join(about_samples(network, settings, weights))} |", flush=True)


def about_samples(network: str, settings: Mapping[str, object], weights: str) -> list[str]:
    """Return sizes of a network in C, and how near it is to Python over ten minutes."""
    decoder = sample_decoder(network, settings)
    recording = simulate_patient(9, minutes=10, seed=9)[0]
    middle = float(np.nanmedian(decoder.predict(recording).probability))
    decoder = replace(decoder, rule=rv.AlarmRule(middle, minimum_seconds=1, merge_seconds=4))
    expected = decoder.predict(recording)
    folder = Path(tempfile.mkdtemp())
    found = {
        name: f"{size:,.0f}" for name, size, _ in exported(folder, decoder, weights=weights).rows
    }
    program = built_example(folder, "double", {"weights": weights}, decoder)
    answers, alarms = said_of(program, recording.read(), folder)
    off = np.abs(answers - expected.probability)
    same = "the same" if alarms == expected.alarms.round(3).tolist() else f"{len(alarms)}"
    sizes = [found[name] for name in SIZES]
    near = [f"{np.nanmedian(off):.1e}", f"{np.nanmax(off):.1e}", f"{len(expected.alarms)}, {same}"]
    return [network, str(settings.get("memory", "window")), weights, *sizes, *near]


PARTS = {"speed": speed, "near": near}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for part in sys.argv[1:] or PARTS:
        print(f"\n{part}: {PARTS[part].__doc__}\n")
        PARTS[part]()
