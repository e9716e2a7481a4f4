"""Write the seeds of the corpus: small files as the readers expect them, some of them spoilt."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import edfio
import numpy as np
import readers
import yaml

from ranvier.decisions import AlarmRule
from ranvier.decoder import Decoder
from ranvier.formats import (
    save_hypnogram,
    write_events,
    write_hypnogram,
    write_profusion,
    write_stage_table,
)
from ranvier.formats.event_annotations import write_event_annotations
from ranvier.formats.profusion import write_nsrr
from ranvier.recipe import Recipe
from ranvier.truth import Event, Events, Hypnogram

START = datetime(2020, 3, 2, 22, 15)
NIGHT = Hypnogram(("W", "N1", "", "REM"), 120)
EVENTS = Events((Event(1.5, 2.25, confidence=0.5), Event(5, 1, "sz_foc")), 8.0, START)

SUMMARY = """Data Sampling Rate: 256 Hz
Channel 1: FP1-F7

File Name: chb01_03.edf
File Start Time: 13:43:04
File End Time: 14:43:04
Number of Seizures in File: 1
Seizure Start Time: 2996 seconds
Seizure End Time: 3036 seconds

File Name: chb01_04.edf
File Start Time: 25:43:12
Number of Seizures in File: 2
Seizure 1 Start Time: 10 seconds
Seizure 1 End Time: 20 seconds
Seizure 2 Start Time: 30 seconds
Seizure 2 End Time: 40 seconds
"""
SIENA = """PN00

Seizure n 1
File name: PN00-1.edf
Registration start time: 19.39.33
Registration end time:  20.22.58
Seizure start time: 19.58.36
Seizure end time: 19:59.46

Start time: 1 6.49.25 (electrical) 6.49.41 (clinical)
End time: 16.51.00
"""
TUSZ = """# version = csv_v1.0.0
# duration = 1750.0000 secs
channel,start_time,stop_time,label,confidence
FP1-F7,0.0000,36.8868,bckg,1.0000
FP1-F7,36.8868,183.3055,fnsz,1.0000
TERM,40,50,seiz,0.9
"""
TSE = "version = tse_v1.0.0\n\n0.0000 10.2787 bckg 1.0000\n10.2787 35.7005 gnsz 0.5\n"
TABLE = "time,C3,C4\n0,1.5,2\n0.5,n/a,3\n1,2,\n1.5,1,1\n"


REFERENCES = b"stages:\n - &a0 {stage: x}\n" + b"".join(
    f" - &a{n} {{stage: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n".encode() for n in range(1, 10)
)


def edf(folder: Path) -> Iterator[bytes]:
    """Yield EDF, BDF and files of annotations alone."""
    kinds = ((edfio.Edf, edfio.EdfSignal), (edfio.Bdf, edfio.BdfSignal))
    values = np.random.default_rng(0).normal(0, 30, (2, 24))
    for make, signal in kinds:
        signals = [
            signal(row, 8, label=f"EEG C{n}", physical_dimension="uV")
            for n, row in enumerate(values)
        ]
        for texts in (
            None,
            [edfio.EdfAnnotation(0.5, 1.0, "seizure"), edfio.EdfAnnotation(0, 30, "Sleep stage W")],
        ):
            make(signals, annotations=texts).write(folder / "a")
            yield (folder / "a").read_bytes()
    yield (folder / "a").read_bytes().replace(b"BDF+C", b"BDF+D")
    yield write_event_annotations(folder / "b.edf", EVENTS).read_bytes()
    yield save_hypnogram(folder / "c.edf", NIGHT).read_bytes()


def events(folder: Path) -> Iterator[bytes]:
    """Yield tables of BIDS."""
    yield write_events(folder / "a.tsv", EVENTS).read_bytes()
    yield write_hypnogram(folder / "b.tsv", NIGHT).read_bytes()


def hypnogram_csv(folder: Path) -> Iterator[bytes]:
    """Yield tables of stages."""
    yield write_stage_table(
        folder / "a.csv", NIGHT, probabilities=np.full((4, 5), 0.2)
    ).read_bytes()
    yield b"epoch;stage\n1;4\n2;?\n3;5\n"


def profusion(folder: Path) -> Iterator[bytes]:
    """Yield both kinds of XML, and one whose entities would fill the memory."""
    yield write_profusion(folder / "a.xml", NIGHT).read_bytes()
    yield write_nsrr(folder / "b.xml", NIGHT, start=START).read_bytes()
    levels = [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)]
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">{"".join(levels)}]>'
    yield f'<?xml version="1.0"?>{bomb}<CMPStudyConfig>&a9;</CMPStudyConfig>'.encode()
    yield b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><CMPStudyConfig>&a;</CMPStudyConfig>'
    yield b"<a>" * 4000


def chb_seizures(_: Path) -> Iterator[bytes]:
    """Yield marks as WFDB writes them: a remark, a skip, begin and end."""
    words = (22 << 10, 63 << 10 | 23)
    text = b"## time resolution: 256\0"
    skip = (59 << 10).to_bytes(2, "little") + b"\x0b\x00\x00\x70"
    marks = b"".join(word.to_bytes(2, "little") for word in (32 << 10 | 5, 33 << 10 | 900, 0))
    yield b"".join(word.to_bytes(2, "little") for word in words) + text + skip + marks


def example(_: Path) -> Iterator[bytes]:
    """Yield a clip with its label and rate, as protocol buffers."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    data = field(2, field(1, np.arange(4, dtype="<f4").tobytes()))
    features = {
        b"data": data,
        b"label": field(1, field(1, b"seizure")),
        b"rate": field(3, field(1, b"\x04")),
    }
    entries = [field(1, field(1, name) + field(2, one)) for name, one in features.items()]
    yield field(1, b"".join(entries))


def archive(_: Path) -> Iterator[bytes]:
    """Yield a signal, a session of spikes and epochs."""
    yield readers.as_member(b"\0" + readers.npy(np.ones((60, 2), np.float32)))
    yield readers.as_member(bytes([len(readers._SIGNAL)]) + readers.npy(np.ones((9, 2), np.uint8)))
    spikes = {
        "spike_times": [0.1, 0.2],
        "spike_units": [0, 1],
        "velocity": np.zeros((9, 2)),
        "trajectory_rate": 10.0,
    }
    epochs = {"x": np.zeros((2, 60, 1), np.float32), "y": [0, 4], "fs": 2.0}
    for one in (spikes, epochs):
        yield readers.zipped({f"{name}.npy": readers.npy(value) for name, value in one.items()})


def member(_: Path) -> Iterator[bytes]:
    """Yield each array of an archive alone, behind the number that says which it is."""
    parts = [*readers._SIGNAL.values(), *readers._SESSION.values()]
    yield from (bytes([number]) + part for number, part in enumerate(parts))


def matlab(folder: Path) -> Iterator[bytes]:
    """Yield a file of an older version and one of HDF5."""
    from scipy.io import savemat

    savemat(folder / "a.mat", {"data": np.ones((2, 9), np.float32), "fs": 4.0})
    yield (folder / "a.mat").read_bytes()[:116].ljust(116) + (folder / "a.mat").read_bytes()[116:]
    (hdf5,) = matlab_hdf5(folder)
    yield readers.as_hdf5(hdf5)


def matlab_hdf5(folder: Path) -> Iterator[bytes]:
    """Yield what stands behind the mark of HDF5."""
    import h5py

    with h5py.File(folder / "b.mat", "w", userblock_size=512) as file:
        file["data"], file["fs"] = np.ones((9, 2), np.float32), [[4.0]]
    yield (folder / "b.mat").read_bytes()[520:]


def nwb(folder: Path) -> Iterator[bytes]:
    """Yield a short session."""
    import h5py

    with h5py.File(folder / "a.nwb", "w") as file:
        file["units/spike_times"], file["units/spike_times_index"] = [0.1, 0.2, 0.3], [2, 3]
        file["units/id"] = [0, 1]
    yield (folder / "a.nwb").read_bytes()


def description(_: Path) -> Iterator[bytes]:
    """Yield what a decoder says of itself."""
    weights = {"w": np.zeros(1, np.float32)}
    made = Decoder("seizure", (), ("Fp1-F7",), 1.0, "rest", {"features": 8}, weights, AlarmRule())
    yield json.dumps(made.as_dict()).encode()


def decoder(_: Path) -> Iterator[bytes]:
    """Yield a whole decoder."""
    (about,) = description(_)
    yield readers.as_decoder(about)


def weights(_: Path) -> Iterator[bytes]:
    """Yield weights in safetensors, NumPy and PyTorch."""
    import torch
    from safetensors.numpy import save

    arrays = {"a.w": np.ones((2, 2), np.float32), "a.b": np.ones(2, np.float32)}
    yield save(arrays)
    yield readers.zipped({f"{name}.npy": readers.npy(one) for name, one in arrays.items()})
    packed = io.BytesIO()
    torch.save({name: torch.as_tensor(one) for name, one in arrays.items()}, packed)
    yield packed.getvalue()


def keras(folder: Path) -> Iterator[bytes]:
    """Yield weights of Keras."""
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones(2)
    yield (folder / "a.h5").read_bytes()


def recipe(_: Path) -> Iterator[bytes]:
    """Yield a recipe that names every setting, and one whose references fill the memory."""
    about = json.loads(json.dumps(asdict(Recipe()), default=str))
    yield yaml.safe_dump(about).encode()
    del about["stages"]
    yield yaml.safe_dump(about).encode() + REFERENCES


def stage_settings(_: Path) -> Iterator[bytes]:
    """Yield stages, and some whose references fill the memory."""
    yield b"stages:\n  - {stage: bin_counts, seconds: 0.064}\n"
    yield REFERENCES
    yield b"- {stage: 2020-01-01}\n"
    yield b"- &a {stage: *a}\n"


MAKERS: Mapping[str, Callable[[Path], Iterator[bytes]]] = {
    one.__name__: one
    for one in (
        edf,
        events,
        hypnogram_csv,
        profusion,
        chb_seizures,
        example,
        archive,
        member,
        matlab,
        matlab_hdf5,
        nwb,
        description,
        decoder,
        weights,
        keras,
        recipe,
        stage_settings,
    )
}
PLAIN = {
    "annotations": b"recording;start;end;type\na.edf;1,5;20;FNSZ\nb;;;\n",
    "hypnogram_tsv": b"onset\tduration\tstage\n0\t30\tW\n30\t30\tN2\n",
    "hypnogram_txt": b"W\nN1\n?\nREM\n4\n",
    "chb_summary": SUMMARY.encode(),
    "siena": SIENA.encode(),
    "tusz_csv": TUSZ.encode(),
    "tusz_tse": TSE.encode(),
    "table": TABLE.encode(),
    "json": b'{"a": [1, 2.5, null, "b"]}',
}


def tfrecord(folder: Path) -> Iterator[bytes]:
    """Yield a file of two records."""
    (clip,) = example(folder)
    yield readers.as_record(clip) * 2


def spoilt(seed: bytes) -> Iterator[bytes]:
    """Yield a seed that is cut off, and one in which a byte in the middle is another."""
    middle = len(seed) // 2
    yield seed[:middle]
    yield seed[:middle] + bytes([seed[middle] ^ 0x15]) + seed[middle + 1 :]


def main() -> None:
    """Write all seeds; what else lies in the corpus stays."""
    makers = {**MAKERS, "tfrecord": tfrecord}
    for name in readers.READERS:
        with TemporaryDirectory() as folder:
            seeds = [PLAIN[name]] if name in PLAIN else list(makers[name](Path(folder)))
        (readers.CORPUS / name).mkdir(parents=True, exist_ok=True)
        for number, content in enumerate([*seeds, *spoilt(seeds[0]), b""]):
            (readers.CORPUS / name / f"seed-{number}").write_bytes(content)


if __name__ == "__main__":
    main()
