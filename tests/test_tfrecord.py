"""TFRecord files: every checksum is held to, and nothing is lost between clips."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.formats import read, read_examples, read_tfrecord
from ranvier.formats.tfrecord import crc32c, masked_crc32c, parse_example

CLIPS = np.random.default_rng(0).uniform(-1, 1, (3, 1024)).astype(np.float32)
LABELS = (b"seizure", b"baseline", b"seizure")


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(value: object) -> bytes:
    if isinstance(value, bytes):
        return message(1, message(1, value))
    values = np.atleast_1d(value)
    if values.dtype.kind == "f":
        return message(2, message(1, values.astype("<f4").tobytes()))
    return message(3, message(1, b"".join(varint(int(one)) for one in values)))


def example(**features: object) -> bytes:
    entries = [message(1, name.encode()) + message(2, feature(v)) for name, v in features.items()]
    return message(1, b"".join(message(1, entry) for entry in entries))


def framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    sums = [struct.pack("<I", masked_crc32c(part)) for part in (length, record)]
    return length + sums[0] + record + sums[1]


def written(path, *, zipped: bool = True, labels=LABELS, clips=CLIPS, **more: object):
    """Write clips as the Inception detector is fed, compressed with gzip."""
    pairs = zip(clips, labels, strict=True)
    records = b"".join(framed(example(data=clip, label=one, **more)) for clip, one in pairs)
    path.write_bytes(gzip.compress(records) if zipped else records)
    return path


@pytest.mark.parametrize(
    ("content", "checksum"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"", 0),
    ],
)
def test_checksums_are_those_of_the_standard(content, checksum):
    assert crc32c(content) == checksum


def test_a_checksum_does_not_depend_on_where_blocks_end():
    content = bytes(np.random.default_rng(1).integers(0, 256, 3000, dtype=np.uint8))
    for size in (1, 3, 1023, 1024, 1025, 1027, 2048, 3000):
        register = 0xFFFFFFFF
        for byte in content[:size]:
            register ^= byte
            for _ in range(8):
                register = register >> 1 ^ 0x82F63B78 * (register & 1)
        assert crc32c(content[:size]) == register ^ 0xFFFFFFFF


def test_a_record_of_an_empty_example_is_as_tensorflow_frames_it():
    # An empty record: length 0 and the masked checksum of eight zero bytes, then that of nothing.
    assert framed(b"") == bytes.fromhex("000000000000000029039807d8ea82a2")


@given(
    st.dictionaries(
        st.text(max_size=9),
        st.binary(max_size=50)
        | st.lists(st.floats(width=32, allow_nan=False), min_size=1).map(np.float32)
        | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1).map(np.array),
        max_size=5,
    )
)
@settings(max_examples=60)
def test_an_example_is_read_as_it_was_written(features):
    found = parse_example(example(**features))
    assert list(found) == list(features)
    for name, value in features.items():
        expected = (value,) if isinstance(value, bytes) else value
        np.testing.assert_array_equal(found[name], expected)


def test_numbers_need_not_be_packed():
    floats = b"".join(b"\x0d" + struct.pack("<f", one) for one in (1.5, -2))
    whole = b"".join(b"\x08" + varint(one) for one in (3, -1))
    entries = [(b"f", message(2, floats)), (b"i", message(3, whole))]
    features = b"".join(message(1, message(1, n) + message(2, one)) for n, one in entries)
    found = parse_example(message(1, features))
    assert (found["f"].tolist(), found["i"].tolist()) == ([1.5, -2], [3, -1])


@pytest.mark.parametrize("zipped", [True, False])
def test_each_clip_begins_at_a_whole_second_with_nan_between(tmp_path, zipped):
    (found,) = read(written(tmp_path / "train.tfrecord", zipped=zipped), subject="s")
    assert (found.layout.channels, found.layout.rate) == (("EEG",), 250.0)
    for place, clip in enumerate(CLIPS):
        np.testing.assert_array_equal(found.reader(1250 * place, 1250 * place + 1024)[:, 0], clip)
    assert np.isnan(found.read()).sum() == 2 * 226
    assert found.notes[0] == "the rate is not known, 250 Hz are assumed"


def test_labels_become_events(tmp_path):
    found = read_tfrecord(written(tmp_path / "a.tfrecord"))
    assert found.events.intervals().tolist() == [[0, 4.096], [10, 14.096]]


def test_labels_that_do_not_tell_are_nothing_known(tmp_path):
    for labels in ((b"a", b"b", b"a"), (1, 0, 1)):
        assert read_tfrecord(written(tmp_path / "a.tfrecord", labels=labels)).events is None


def test_rate_and_channels_may_be_stored_or_said(tmp_path):
    path = written(tmp_path / "a.tfrecord", fs=128.0)
    assert read_tfrecord(path).layout.rate == 128
    said = read_tfrecord(path, rate=100, channels=("a", "b"))
    assert (said.layout.rate, said.read(0, 5.12).shape) == (100, (512, 2))


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path):
    path = written(tmp_path / "a.tfrecord", zipped=False)
    whole = path.read_bytes()
    for size in (1, 11, 12, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"a.tfrecord is cut off in record \d"):
            read(path)


def test_gzip_that_is_cut_off_or_damaged_is_refused(tmp_path):
    path = written(tmp_path / "a.tfrecord")
    whole = path.read_bytes()
    for broken in (whole[:500], whole[:20] + b"\0" * 9 + whole[29:], whole[:-8] + b"\0" * 8):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"a.tfrecord"):
            read(path)


@given(place=st.integers(0, 4200), change=st.integers(1, 255))
@settings(max_examples=40)
def test_a_changed_byte_is_found(tmp_path_factory, place, change):
    record = bytearray(framed(example(data=CLIPS[0], label=LABELS[0])))
    record[place % len(record)] ^= change
    path = tmp_path_factory.mktemp("data") / "a.tfrecord"
    path.write_bytes(record)
    with pytest.raises(ValueError, match=r"checksum of record 1|cut off"):
        list(read_examples(path))


@given(st.binary(max_size=60))
@settings(max_examples=60)
def test_whatever_a_record_holds_is_read_or_refused_in_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("data") / "a.tfrecord"
    path.write_bytes(framed(content))
    with pytest.raises(ValueError, match=r"a.tfrecord") as refused:
        read_tfrecord(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ({"label": b"seizure"}, "found: none"),
        ({"a": CLIPS[0], "b": CLIPS[1]}, "found: a of 1024, b of 1024"),
    ],
)
def test_records_without_a_clear_clip_are_refused_with_what_was_found(tmp_path, features, found):
    (tmp_path / "a.tfrecord").write_bytes(framed(example(**features)))
    with pytest.raises(ValueError, match=f"record 1: no clip of 1 channels .*{found}"):
        read_tfrecord(tmp_path / "a.tfrecord")


def test_a_file_without_a_record_is_refused(tmp_path):
    (tmp_path / "a.tfrecord").touch()
    with pytest.raises(ValueError, match=r"a.tfrecord has no record"):
        read_tfrecord(tmp_path / "a.tfrecord")
    with pytest.raises(ValueError, match="Cannot read"):
        read_tfrecord(tmp_path / "none.tfrecord")
