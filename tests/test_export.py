"""The command, the program that comes with a decoder in C, and what is refused."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from c_decoder import STRICT, exported, needs_cc, noise, recording_of, rest_decoder

from ranvier.__main__ import main
from ranvier.decisions import StageRule
from ranvier.export import export
from ranvier.export.c_compiled import compiled, deepest
from ranvier.export.c_constants import Constant, Field, number, struct_bytes
from ranvier.export.c_spectrum import radices_of
from ranvier.tasks.seizure import STAGES

CORTEX = Path(__file__).parents[1] / "benchmarks" / "cortex_m"
BOARDS = {
    "Cortex-M4F": ("mps2-an386", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"),
    "Cortex-M7": ("mps2-an500", "-mcpu=cortex-m7", "-mfpu=fpv5-d16"),
}
needs_arm = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="there is no compiler for Cortex-M, or nothing to emulate it",
)


def program(folder, files, *words):
    """Compile the example, and return where it is."""
    target = folder / "example"
    sources = [str(file) for file in files if file.suffix == ".c"]
    subprocess.run([*words, *STRICT, *sources, "-o", str(target)], check=True)
    return str(target)


def said(*words):
    """Return the probabilities and the alarms that a program prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert not done.stderr
    lines = done.stdout.splitlines()
    answers = [float(line.split()[1]) for line in lines if not line.startswith("alarm")]
    return np.array(answers), [float(line.split()[2]) for line in lines if "alarm" in line]


def written(folder, signal):
    (folder / "samples.f32").write_bytes(signal.astype("<f4").tobytes())
    return str(folder / "samples.f32")


def spoilt(seconds):
    signal = noise(seconds)
    signal[2000:3000, :7], signal[4000, 3], signal[5000, 4] = np.nan, np.inf, 1e35
    signal[6000:8000] = signal[6000]
    return signal


@needs_cc
@pytest.mark.parametrize("memory", [{}, {"memory": "clip", "clip": 3}], ids=["carried", "clips"])
@pytest.mark.parametrize("stored", [("float32", "float32"), ("int8", "int16")], ids=str)
def test_the_program_is_clean_under_sanitizers(tmp_path, memory, stored):
    weights, buffers = stored
    made = exported(rest_decoder(**memory), tmp_path, weights=weights, buffers=buffers)
    checks = ("-g", "-O1", "-fsanitize=address,undefined,float-cast-overflow")
    path = program(tmp_path, made.files, "cc", *checks, "-fno-sanitize-recover=all")
    answers, _ = said(path, written(tmp_path, spoilt(40)))
    assert 5 < np.isfinite(answers).sum() < 40


@needs_cc
def test_the_program_reads_the_standard_input_and_prints_alarms(tmp_path):
    decoder, signal = rest_decoder(), noise(60)
    path = program(tmp_path, exported(decoder, tmp_path).files, "cc", "-O2")
    prediction = decoder.predict(recording_of(signal))
    with Path(written(tmp_path, signal)).open("rb") as samples:
        done = subprocess.run([path], stdin=samples, capture_output=True, text=True, check=True)
    assert done.stdout.count("alarm at") == len(prediction.alarms) > 0
    assert said(path, written(tmp_path, signal))[1] == prediction.alarms.round(3).tolist()


@needs_arm
@pytest.mark.parametrize("wide", ["double", "float"])
@pytest.mark.parametrize("board", BOARDS)
def test_an_emulated_cortex_m_says_what_python_says(tmp_path, board, wide):
    machine, *processor = BOARDS[board]
    decoder, signal = rest_decoder(), noise(40)
    files = [*exported(decoder, tmp_path).files, CORTEX / "start.c"]
    flags = [*processor, "-O2", "-mthumb", "-mfloat-abi=hard", f"-DSMALL_WIDE={wide}"]
    linked = ["--specs=rdimon.specs", "-T", CORTEX / "mps2.ld", "-Wl,--no-warn-rwx-segments"]
    path = program(tmp_path, files, "arm-none-eabi-gcc", *flags, *map(str, linked))
    given = f"enable=on,target=native,arg=example,arg={written(tmp_path, signal)}"
    emulator = ("qemu-system-arm", "-M", machine, "-nographic", "-semihosting-config", given)
    answers, alarms = said(*emulator, "-kernel", path)
    expected = decoder.predict(recording_of(signal))
    np.testing.assert_allclose(
        answers, expected.probability, atol=1e-4 if wide == "double" else 5e-3
    )
    assert alarms == expected.alarms.round(3).tolist()


@needs_cc
def test_the_command_tells_sizes_and_operations(tmp_path, capsys):
    path = rest_decoder().save(tmp_path / "My rest-1.ranvier")
    assert main(["export", str(path), str(tmp_path / "c"), "--to", "c", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    names = [Path(file).name for file in content["files"]]
    assert names == ["my_rest_1.h", "my_rest_1.c", "my_rest_1_example.c"]
    assert {"constants", "state", "scratch", "code", "stack", "operations"} <= set(content["sizes"])
    assert content["sizes"]["stack"] < 4000


def test_the_command_says_it_as_a_table(tmp_path, capsys):
    path = rest_decoder().save(tmp_path / "rest.ranvier")
    words = ["export", str(path), str(tmp_path / "c"), "--to", "c", "--compiler", "no-such-cc"]
    assert main([*words, "--weights", "int8", "--channels", '["Fp1", "F3", "C3"]']) == 0
    printed = capsys.readouterr()
    assert "constants" in printed.out
    assert "rest.c was written" in printed.out
    assert "there is no compiler 'no-such-cc'" in printed.err
    assert "16 of 18 derivations cannot be formed" in printed.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"to": "pascal"}, "Invalid to: 'pascal', possible options: "),
        ({"to": "c", "colour": "red"}, "Invalid colour: an export to c does not know this option"),
        ({"to": "c", "weights": "int4"}, "Invalid weights: 'int4', possible options: "),
        ({"to": "c", "buffers": "int8"}, "Invalid buffers: 'int8', possible options: "),
        ({"to": "c", "rate": 100.0}, "Invalid rate: the recording has 100 Hz"),
        ({"to": "c", "channels": ("ECG",)}, "No usable lead"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_and_nothing_is_written(tmp_path, options, reason):
    with pytest.raises(ValueError, match=reason):
        export(rest_decoder(), tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()


def network_named(name):
    return replace(rest_decoder(), network=name)


def staged(*stages):
    return replace(rest_decoder(), stages=stages)


@pytest.mark.parametrize(
    ("decoder", "reason"),
    [
        (network_named("dcrnn"), "Invalid network: 'dcrnn' cannot be exported to C, possible"),
        (rest_decoder(update="sampled"), "Invalid update: 'sampled' cannot be exported to C"),
        (
            staged({"stage": "running_scale"}, *STAGES[1:]),
            "Invalid stage: 'running_scale' cannot be exported to C, possible options: ",
        ),
        (
            staged(*STAGES[:2], {"stage": "resample", "rate_out": 202.0}, *STAGES[3:]),
            "a spectrum of 202 samples a second cannot be exported to C",
        ),
        (
            replace(rest_decoder(), rule=StageRule()),
            "Invalid decision: 'ChooseStage' cannot be exported to C, possible options: ",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(tmp_path, decoder, reason):
    with pytest.raises(ValueError, match=reason):
        exported(decoder, tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_refused(tmp_path):
    decoder = rest_decoder()
    weights = {**decoder.weights, "project.weight": decoder.weights["project.weight"] * np.nan}
    with pytest.raises(
        ValueError, match="Invalid weights: rest_project has one that is not finite"
    ):
        exported(replace(decoder, weights=weights), tmp_path)


@needs_cc
def test_a_compiler_that_does_not_take_the_source_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Invalid compiler: cc did not take the source"):
        compiled({"a.c": "int a_step(void) { return; }"}, "a", "cc -O2")
    with pytest.raises(ValueError, match="Invalid compiler: cc did not take the source"):
        exported(rest_decoder(), tmp_path / "c", compiler="cc --no-such-option")
    assert not (tmp_path / "c").exists()


def test_the_stack_is_that_of_the_deepest_calls():
    sizes = {"a_step": 16, "b": 100, "c": 40, "a.c:d": 30}
    calls = [("a_step", "b"), ("a_step", "c"), ("c", "a.c:d"), ("c", "memset")]
    nodes = [
        f'node: {{ title: "{name}" label: "x\\n{n} bytes (static)" }}' for name, n in sizes.items()
    ]
    edges = [f'edge: {{ sourcename: "{a}" targetname: "{b}" }}' for a, b in calls]
    assert deepest("\n".join([*nodes, *edges]), "a_step") == 116
    assert deepest("", "a_step") is None


def test_numbers_are_written_with_all_their_digits():
    rng = np.random.default_rng(0)
    for value in rng.normal(0, 10.0 ** rng.integers(-30, 30, 200)).astype(np.float32):
        assert np.float32(number(value, "float").removesuffix("f")) == value
    assert [number(one, "double") for one in (1.0, 0.1, 1e30)] == [
        "1.0",
        "0.10000000000000001",
        "1e+30",
    ]
    assert Constant("a", "int8_t", np.array([-3.0, 4.0])).text.split("{")[1].split() == [
        "-3,",
        "4",
        "};",
    ]


def test_structs_are_filled_up_as_compilers_do():
    fields = [Field("uint8_t", "a"), Field("double", "b"), Field("uint16_t", "c", (3,))]
    assert struct_bytes(fields) == 24
    assert struct_bytes([Field("float", "a", (2, 3))]) == 24


def test_a_transform_has_the_passes_of_its_length():
    assert radices_of(200) == [2, 4, 5, 5]
    assert radices_of(243) == [3] * 5
    assert radices_of(1) == []
