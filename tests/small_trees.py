"""A small folder of every data set in its published layout, enough to train and test on.

``TREES`` has a maker for each name of ``ranvier datasets``; the files are noise of 2 to 5 minutes.
"""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pytest
from scipy.io import savemat
from small_data_sets import edf, text

from ranvier.channels import TEN_TWENTY
from ranvier.formats import write_profusion, write_sleep_edf
from ranvier.truth import Hypnogram

SECONDS = 120
SEIZURES = ((20, 40), (70, 95))
"""In every recording of the data sets of seizures."""
START = datetime(1989, 4, 24, 16, 13)
NIGHT = Hypnogram(("W", "N1", "N2", "", "REM"), 150)
"""Stages of every night, which a number stands for in some files."""
CODES = (0, 1, 2, -1, 4)

CHB_MIT = tuple(
    "FP1-F7 F7-T7 T7-P7 P7-O1 FP1-F3 F3-C3 C3-P3 P3-O1 FP2-F4 F4-C4 C4-P4 P4-O2 FP2-F8 F8-T8 T8-P8 "
    "P8-O2 FZ-CZ CZ-PZ P7-T7 T8-P8 -".split()
)
TUSZ = (*(f"EEG {lead.upper()}-REF" for lead in TEN_TWENTY), "EEG EKG1-REF")
SIENA = (*(f"EEG {lead}" for lead in TEN_TWENTY), "EKG EKG", "SPO2")
TUSZ_NEW = "edf/{part}/{patient}/s001_2002/01_tcp_ar/{patient}_s001_t000.edf"
TUSZ_OLD = "edf/{part}/01_tcp_ar/002/{patient}/s002_2003_07_21/{patient}_s002_t000.edf"


def chb_mit(folder: Path) -> Path:
    """Write three cases of one file each."""
    for case in ("chb01", "chb02", "chb03"):
        edf(folder / case / f"{case}_01.edf", channels=CHB_MIT, seconds=SECONDS, rate=256)
        times = [
            f"Seizure {number} {what} Time: {second} seconds"
            for number, seizure in enumerate(SEIZURES, start=1)
            for what, second in zip(("Start", "End"), seizure, strict=True)
        ]
        head = (f"File Name: {case}_01.edf", "File Start Time: 23:50:00", "File End Time: 23:52:00")
        count = f"Number of Seizures in File: {len(SEIZURES)}"
        text(folder / case / f"{case}-summary.txt", *head, count, *times)
    return folder


def siena(folder: Path) -> Path:
    """Write three patients of one file each."""
    begin = datetime(2016, 1, 1, 23, 59)
    for patient in ("PN00", "PN01", "PN03"):
        path = folder / patient / f"{patient}-1.edf"
        edf(path, channels=SIENA, seconds=SECONDS, rate=512, start=begin)
        lines = [
            f"Seizure {what} time: {_clock(second)}"
            for seizure in SEIZURES
            for what, second in zip(("start", "end"), seizure, strict=True)
        ]
        head = (f"File name: {patient}-1.edf", "Registration start time: 23.59.00")
        text(path.with_name(f"Seizures-list-{patient}.txt"), *head, *lines)
    return folder


def _clock(second: int) -> str:
    return f"23.59.{second:02}" if second < 60 else f"00.00.{second - 60:02}"


def tusz(folder: Path, layout: str = TUSZ_NEW, **patients: str) -> Path:
    """Write patients of the official parts, two to train on and one of each other by default."""
    shorter = {"train": "aaaaaaac aaaaaaad", "dev": "aaaaaajy", "eval": "aaaaaaaq"}
    for part, named in (patients or shorter).items():
        for patient in named.split():
            path = folder / layout.format(part=part, patient=patient)
            edf(path, channels=TUSZ, seconds=SECONDS, rate=256)
            labels = _tse if layout == TUSZ_OLD else _csv
            labels(path, "_bi", "TERM", ("seiz", "seiz"))
            labels(path, "", "FP1-F7", ("fnsz", "gnsz"))
    return folder


def tusz_old(folder: Path) -> Path:
    """Write the same in the layout and with the labels of the older releases."""
    return tusz(folder, TUSZ_OLD, train="00000258 00000302", dev_test="00000629", eval="00000715")


def _csv(path: Path, ending: str, channel: str, codes: tuple[str, str]) -> None:
    about = ("# version = csv_v1.0.0", f"# duration = {SECONDS:.4f} secs", "#")
    head = "channel,start_time,stop_time,label,confidence"
    rows = (f"{channel},{onset:.4f},{end:.4f},{code},1.0000" for onset, end, code in _marked(codes))
    text(path.with_suffix(f".csv{ending}"), *about, head, *rows)


def _tse(path: Path, ending: str, channel: str, codes: tuple[str, str]) -> None:
    rows = (f"{onset:.4f} {end:.4f} {code} 1.0000" for onset, end, code in _marked(codes))
    text(path.with_suffix(f".tse{ending}"), "version = tse_v1.0.0", "", *rows)


def _marked(codes: tuple[str, str]) -> list[tuple[int, int, str]]:
    borders = [0, *(second for seizure in SEIZURES for second in seizure), SECONDS]
    labels = ("bckg", codes[0], "bckg", codes[1], "bckg")
    return list(zip(borders[:-1], borders[1:], labels, strict=True))


def seizeit1(folder: Path) -> Path:
    """Write three patients of one file each."""
    for number in (10, 11, 13):
        path = folder / f"P_ID{number}" / f"P_ID{number}_r1.edf"
        edf(path, channels=SIENA, seconds=SECONDS, rate=250)
        rows = [f"{onset}\t{end}\tFIA\tHem:R" for onset, end in SEIZURES]
        text(path.with_name(f"P_ID{number}_r1_a1.tsv"), "# Source: SeizeIt1", *rows)
    return folder


NAMES = ("NVC_1", "NVC_2", "NVC_3")


def clip(folder: Path, subject: str, kind: str, number: int, **variables: object) -> Path:
    """Write one clip of the challenge of UPenn and Mayo Clinic."""
    path = folder / subject / f"{subject}_{kind}_segment_{number}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    given = {
        "data": np.arange(3 * 400.0).reshape(3, 400) % 97,
        "freq": 399.6098,
        "channels": {name: name for name in NAMES},
    }
    savemat(path, {**given, **variables}, do_compression=True)
    return path


def upenn_mayo(folder: Path) -> Path:
    """Write clips of two seizures of a dog, of what is between them, and one for the test."""
    rng = np.random.default_rng(0)
    latencies = {"ictal": [0, 1, 2, 3, 0, 1, 2, 3], "interictal": [None] * 8, "test": [None]}
    for kind, clips in latencies.items():
        for number, latency in enumerate(clips, start=1):
            known = {} if latency is None else {"latency": float(latency)}
            clip(folder, "Dog_1", kind, number, data=rng.normal(0, 20, (3, 400)), **known)
    return folder


def polysomnogram(path: Path, start: datetime = START, **rates: int) -> Path:
    """Write an EDF file of 150 s with one channel for each rate."""
    rng = np.random.default_rng(list(path.name.encode()))
    signals = [
        edfio.EdfSignal(rng.normal(0, 20, 150 * rate), rate, label=label, physical_dimension="uV")
        for label, rate in rates.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    about = edfio.Recording(startdate=start.date())
    edfio.Edf(signals, recording=about, starttime=start.time()).write(path)
    return path


def physionet(folder: Path, *nights: str, scorer: str = "C") -> Path:
    """Write nights of Sleep-EDF in the folders and by the names of PhysioNet."""
    for night in nights:
        part = folder / ("sleep-cassette" if night.startswith("SC") else "sleep-telemetry")
        rates = {"EEG Fpz-Cz": 100, "EEG Pz-Oz": 100, "EOG horizontal": 100, "Event marker": 1}
        polysomnogram(part / f"{night}-PSG.edf", **rates)
        write_sleep_edf(part / f"{night[:-1]}{scorer}-Hypnogram.edf", NIGHT, start=START)
    return folder


def resource(folder: Path, visit: str, name: str, *, profusion: bool = True, **rates: int) -> Path:
    """Write a night in the folders and by the names of NSRR."""
    root = folder / "polysomnography"
    polysomnogram(root / "edfs" / visit / f"{name}.edf", **rates)
    if profusion:
        kind = root / "annotations-events-profusion" / visit
        kind.mkdir(parents=True, exist_ok=True)
        write_profusion(kind / f"{name}-profusion.xml", NIGHT)
    return folder


def dreem(path: Path, *, codes: tuple[float, ...] = CODES, **changed: object) -> Path:
    """Write a night as the Dreem Open Datasets have it."""
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(list(path.name.encode()))
    rates = {"eeg/C3_M2": 250, "eeg/F3_F4": 250, "eog/EOG1": 250, "emg/EMG": 500}
    described = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for place, rate in rates.items():
            file[f"signals/{place}"] = rng.normal(0, 20, 150 * rate).astype(np.float32)
            described.append({"path": f"signals/{place}", "fs": rate, "unit": "µV", "name": place})
        if codes:
            file["hypnogram"] = np.array(codes)
        attributes = {"description": json.dumps(described).encode(), "start_time": 1.5e9} | changed
        file.attrs.update(attributes)
    return path


def prepared(path: Path, **changed: object) -> Path:
    """Write a night as AttnSleep prepares it, with the pickled headers it also stores."""
    rng = np.random.default_rng(list(path.name.encode()))
    x = rng.normal(0, 20, (5, 3000, 1)).astype(np.float32)
    keys = {"x": x, "y": np.array([0, 1, 2, 3, 4], np.int32), "fs": 100.0, "ch_label": "EEG Fpz-Cz"}
    np.savez(path, **(keys | changed), header_raw=np.array({"a": 1}, dtype=object))
    return path


def sleep_edf(folder: Path) -> Path:
    """Write one night of three people, of both parts of the set."""
    return physionet(folder, "SC4001E0", "SC4011E0", "ST7011J0")


def shhs(folder: Path) -> Path:
    """Write one visit of three people, in which channels stand in another order."""
    order = {"EEG(sec)": 125, "EEG": 125}
    for number in (1, 2, 3):
        rates = order if number < 3 else dict(reversed(order.items()))
        resource(folder, "shhs1", f"shhs1-20000{number}", **{"SaO2": 1, **rates})
    return folder


def nsrr(folder: Path) -> Path:
    """Write one night of three people of another set of the resource."""
    for number in (1, 2, 3):
        resource(folder, "", f"mesa-sleep-000{number}", EEG1=256, EEG2=256)
    return folder


def dod(folder: Path) -> Path:
    """Write one night of three people, of both parts."""
    nights = {"dodh": (1, 2), "dodo": (3,)}
    for part, numbers in nights.items():
        for number in numbers:
            dreem(folder / part / f"3e842aa8-bcd9-521e-93a2-72124233fe{number:02}.h5")
    return folder


def attn_sleep_npz(folder: Path) -> Path:
    """Write one night of three people."""
    for name in ("SC4001E0", "SC4011E0", "SC4021E0"):
        prepared(folder / f"{name}.npz")
    return folder


def matlab(file: object, name: str, value: np.ndarray, kind: bytes = b"double") -> object:
    """Write an array as Matlab does, where an empty one is stored as its shape."""
    value = value if value.size else np.zeros(2, np.uint64)
    made = file.create_dataset(name, data=value)
    made.attrs["MATLAB_class"] = np.bytes_(kind)
    if kind == b"double" and made.ndim == 1:
        made.attrs["MATLAB_empty"] = np.uint8(1)
    return made.ref


def cells(file: object, name: str, references: list[list[object]]) -> None:
    """Write references to what lies in cells."""
    h5py = pytest.importorskip("h5py")
    made = file.create_dataset(name, data=np.array(references, dtype=h5py.ref_dtype))
    made.attrs["MATLAB_class"] = np.bytes_(b"cell")


def indy_loco(folder: Path) -> Path:
    """Write a session of each monkey, whose cursor goes round and whose channels follow it."""
    h5py = pytest.importorskip("h5py")
    for name in ("indy_20160407_02", "loco_20170210_03"):
        rng = np.random.default_rng(list(name.encode()))
        times = 10 + np.arange(SECONDS * 250) / 250
        place = 50 * np.stack([np.sin(times), np.cos(times)])
        with h5py.File(folder / f"{name}.mat", "w", userblock_size=512) as file:
            matlab(file, "t", times[None])
            matlab(file, "cursor_pos", place)
            trains = [np.sort(rng.uniform(10, 10 + SECONDS, 2000)) for _ in range(4)]
            refs = [matlab(file, f"#refs#/s{n}", one[None]) for n, one in enumerate(trains)]
            cells(file, "spikes", [refs])
            codes = [np.array([[ord(c)] for c in f"M1 00{n}"], np.uint16) for n in range(4)]
            refs = [matlab(file, f"#refs#/n{n}", one, b"char") for n, one in enumerate(codes)]
            cells(file, "chan_names", [refs])
    return folder


TREES: dict[str, Callable[[Path], Path]] = {
    "chb-mit": chb_mit,
    "siena": siena,
    "tusz": tusz,
    "seizeit1": seizeit1,
    "upenn-mayo": upenn_mayo,
    "sleep-edf": sleep_edf,
    "shhs": shhs,
    "nsrr": nsrr,
    "dod": dod,
    "attn-sleep-npz": attn_sleep_npz,
    "indy-loco": indy_loco,
}
