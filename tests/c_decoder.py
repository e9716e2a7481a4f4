"""Decoders in C for tests: compiled, run through ctypes, and small ones to be exported."""

import ctypes
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY
from ranvier.export import export
from ranvier.networks import make_network
from ranvier.recipe import packaged_settings
from ranvier.tasks.seizure import STAGES

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")

SIZES = """
#include "{0}.c"
size_t state_bytes(void);
size_t state_bytes(void) {{ return sizeof({0}_state); }}
size_t scratch_bytes(void);
size_t scratch_bytes(void) {{ return sizeof({0}_scratch); }}
"""


class Answer(ctypes.Structure):
    """The struct of an answer."""

    _fields_ = [
        *((name, ctypes.c_double) for name in ("time", "onset", "end")),
        *((name, ctypes.c_float) for name in ("probability", "seconds", "peak")),
        *((name, ctypes.c_uint8) for name in ("alarm", "new_alarm", "held_back")),
    ]


COLUMNS = ("alarm", "onset", "end", "seconds", "peak", "held_back")
"""As in ``ALARM_COLUMNS``."""


@dataclass
class Library:
    """A compiled decoder, which is called as the one in Python is."""

    path: Path
    channels: int

    def __post_init__(self):
        self.loaded = ctypes.CDLL(str(self.path))
        self.loaded.small_step.restype = ctypes.c_size_t
        self.state_bytes, self.scratch_bytes = (
            self.loaded.state_bytes(),
            self.loaded.scratch_bytes(),
        )

    def answers(self, signal, cuts=()):
        """Return a dict of arrays for what is said of the pieces of a signal."""
        state = ctypes.create_string_buffer(self.state_bytes)
        scratch = ctypes.create_string_buffer(self.scratch_bytes)
        self.loaded.small_start(state)
        found = []
        for piece in np.split(np.ascontiguousarray(signal, np.float32), cuts):
            room = (Answer * (len(piece) // 32 + 2))()
            scratch[:] = np.random.default_rng(0).bytes(self.scratch_bytes)
            samples = ctypes.c_void_p(piece.ctypes.data)
            count = ctypes.c_size_t(len(piece))
            given = self.loaded.small_step(state, scratch, samples, count, room)
            found += [[getattr(one, name) for name, _ in Answer._fields_] for one in room[:given]]
        table = np.array(found).reshape(-1, len(Answer._fields_)).T
        return dict(zip([name for name, _ in Answer._fields_], table, strict=True))


def exported(decoder, folder, **options):
    return export(decoder, folder, to="c", **{"name": "small", "compiler": "", **options})


def library(decoder, folder, *flags, **options):
    """Export a decoder and compile it."""
    made = exported(decoder, folder, **options)
    (folder / "sizes.c").write_text(SIZES.format("small"))
    target = folder / "small.so"
    words = ["cc", *STRICT, "-O1", *flags, "-shared", "-fPIC", str(folder / "sizes.c")]
    subprocess.run([*words, "-o", str(target)], check=True)
    header = made.files[0].read_text()
    return Library(target, int(header.partition("SMALL_CHANNELS ")[2].split()[0]))


def rest_decoder(*, stages=STAGES, channels=DOUBLE_BANANA, rule=None, **settings):
    """REST with random weights, whose probabilities vary."""
    torch.manual_seed(1)
    network = make_network("rest", channels, settings)
    network.rescale(3.0, 0.0)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    rule = rule or rv.AlarmRule(0.5, minimum_seconds=2, merge_seconds=4)
    return rv.Decoder("seizure", tuple(stages), channels, 1.0, "rest", settings, weights, rule)


def sample_decoder(network, *, rule=None, scale=10.0, **settings):
    """A network of samples with random weights, after the stages of its recipe."""
    stages = [dict(stage) for stage in packaged_settings("seizure", network)["stages"]]
    if stages[-1]["stage"] == "standardise":
        stages[-1] |= {"mean": [0.0] * 18, "deviation": [30.0] * 18}
    torch.manual_seed(1)
    module = make_network(network, DOUBLE_BANANA, settings)
    module.rescale(scale, 0.0)
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    rate, rule = stages[2]["rate_out"], rule or rv.AlarmRule(0.5, minimum_seconds=2)
    return rv.Decoder(
        "seizure", tuple(stages), DOUBLE_BANANA, rate, network, settings, weights, rule
    )


def recording_of(signal, rate=256.0, channels=TEN_TWENTY):
    return rv.Recording.from_array(signal, rate, channels, name="noise")


def noise(seconds, *, rate=256, channels=19, seed=0):
    """Signals of µV that grow and shrink, with an offset and waves."""
    rng = np.random.default_rng(seed)
    time = np.arange(seconds * rate) / rate
    waves = np.sin(2 * np.pi * rng.uniform(1, 12, channels) * time[:, None])
    loud = 20 * np.exp(np.sin(2 * np.pi * time / 31 + np.arange(channels)[:, None]).T)
    signal = loud * (waves + rng.normal(0, 1, waves.shape)) + rng.normal(0, 100, channels)
    return signal.astype(np.float32)


def assert_same(prediction, answers, *, atol=1e-4):
    """Hold what C says against what Python says."""
    np.testing.assert_allclose(answers["time"], prediction.times)
    np.testing.assert_allclose(answers["probability"], prediction.probability, atol=atol, rtol=0)
    for column, name in zip(prediction.rows.T, COLUMNS, strict=True):
        np.testing.assert_allclose(answers[name], column, atol=atol, rtol=0)


def with_gaps(signal, seed=0):
    """Leads fall out and stand still; once all of them."""
    rng, signal = np.random.default_rng(seed), signal.copy()
    for start in rng.integers(0, len(signal), 12):
        leads = rng.choice(signal.shape[1], rng.integers(1, signal.shape[1]), replace=False)
        stop = start + rng.integers(1, 1500)
        signal[start:stop, leads] = rng.choice([np.nan, signal[start, 0]])
    signal[4000:5000] = np.nan
    return signal


def median_of(decoder, signal):
    """Return a threshold that half of the probabilities reach, and none is near to."""
    found = np.sort(decoder.predict(recording_of(signal)).probability)
    middle = found[len(found) // 3 : -len(found) // 3]
    widest = np.diff(middle).argmax()
    return float(middle[widest : widest + 2].mean())
