"""Data sets are fetched from archives that may be slow, broken or hostile."""

import errno
import json
import os
import re
import shutil
import time
from collections import namedtuple
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from archive_server import (
    MADE,
    ArchiveServer,
    babbles,
    breaks_off,
    drips,
    endless,
    hangs_up,
    part,
    redirect,
    sends,
    status,
    subject_of,
    unmeasured,
    whole,
)
from hypothesis import given
from hypothesis import strategies as st

from ranvier.__main__ import main
from ranvier.datasets import DATASETS
from ranvier.datasets.description import Archive
from ranvier.download import Downloaded, Manners, asking, download, list_files
from ranvier.download.asking import RefusedError
from ranvier.download.remote import MARKS, RemoteFile, checked
from ranvier.download.side_by_side import side_by_side

BIG = np.random.default_rng(7).bytes(300_000)
FILES = {"README.txt": b"read me", "p1/a b+ü.edf": BIG, "p1/b.edf": b"b" * 999, "p2/c.edf": b""}
ONE = {"p1/a.edf": BIG}
UNSAFE = [
    *("../a", "a/../../b", "..", ".", ".. /a", "a//b", "a/./b", "a/", "a. "),
    *("/etc/passwd", "C:/a", "c:a", "a\\..\\b", "a\x1b[2J", "nul\x00"),
    *(".ranvier-download.json", "x/.RANVIER-download.json", "a.part", "a.part.etag"),
]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    with ArchiveServer() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def get(server, tmp_path, waits):
    """Download from the server without waiting."""

    def run(archive: Archive | None = MADE.archive, base="files", **options) -> Downloaded:
        told = {name: options.pop(name) for name in ("watch", "timeout") if name in options}
        manners = Manners(np.random.default_rng(0), sleep=waits.append, **{"timeout": 5.0, **told})
        made = replace(MADE, archive=archive)
        address = f"{server.url}/{base}".rstrip("/")
        return download(made, tmp_path / "data", manners=manners, base=address, **options)

    return run


def on_disk(folder: Path) -> dict[str, bytes]:
    found = (one for one in folder.rglob("*") if one.is_file() and one.name != MARKS)
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in found}


def test_all_files_come_as_they_are(server, get, tmp_path):
    server.publish(FILES)
    done = get()
    assert on_disk(tmp_path / "data") == FILES
    assert (done.fetched, done.kept, done.failures) == (4, 0, ())


def test_a_second_run_asks_for_the_list_alone(server, get, monkeypatch):
    server.publish(FILES)
    get()
    server.asked.clear()
    monkeypatch.setattr("ranvier.download.filling.matches", lambda *_: pytest.fail("read again"))
    assert get().kept == 4
    assert [path.rpartition("/")[2] for _, path, _ in server.asked] == ["SHA256SUMS.txt"]


@pytest.mark.parametrize("threads", [1, 16])
def test_the_number_of_threads_changes_nothing(server, get, tmp_path, threads):
    server.publish({f"p{n}/{n}.edf": bytes([n]) * 1000 * n for n in range(20)})
    assert get(threads=threads).fetched == 20


@pytest.mark.parametrize("threads", [0, 17])
def test_more_threads_than_are_polite_are_refused(get, threads):
    with pytest.raises(ValueError, match=f"Invalid threads: {threads}, must be from 1 to 16"):
        get(threads=threads)


def test_a_part_has_its_subjects_and_what_everybody_needs(server, get, tmp_path):
    server.publish(FILES)
    get(subjects=["p2"])
    assert set(on_disk(tmp_path / "data")) == {"README.txt", "p2/c.edf"}
    assert server.fetched("b.edf") == 0


def test_subjects_that_are_not_there_are_named(server, get, tmp_path):
    server.publish(FILES)
    with pytest.raises(ValueError, match=r"Invalid subjects: \['p9'\], possible .*\['p1', 'p2'\]"):
        get(subjects=["p1", "p9"])
    assert not (tmp_path / "data").exists()


def test_every_request_says_who_asks(server, get):
    server.publish(ONE)
    get()
    assert all(headers["User-Agent"].startswith("ranvier/") for _, _, headers in server.asked)


def test_zenodo_is_asked_for_its_own_files_whatever_links_it_names(server, get, tmp_path):
    files = {"indy 1.mat": BIG, "übung.mat": b"2"}
    server.publish_zenodo(files)
    assert get(Archive("zenodo", "17", subject_of), "").fetched == 2
    assert on_disk(tmp_path / "data") == files


def test_dandi_is_read_page_by_page_and_through_its_storage(server, get, tmp_path):
    files = {"sub-1/a.nwb": BIG, "sub-2/b.nwb": b"b", "sub-2/c.nwb": b"c"}
    server.publish_dandi(files)
    assert get(Archive("dandi", "000001", subject_of), "").fetched == 3
    assert on_disk(tmp_path / "data") == files


def test_a_version_of_dandi_can_be_named(server, get):
    server.publish_dandi({"sub-1/a.nwb": b"a"})
    assert get(Archive("dandi", "000001/0.2", subject_of), "").fetched == 1
    assert server.fetched("dandisets/000001/") == 0


def test_files_without_a_checksum_are_counted(server, get):
    server.publish_zenodo({"a.mat": BIG}, checksum=None)
    assert get(Archive("zenodo", "17", subject_of), "").unproved == 1


@pytest.mark.parametrize(
    ("host", "change", "said"),
    [
        ("zenodo", {"size": -1}, "size of -1"),
        ("zenodo", {"size": "1e99"}, "size of '1e99'"),
        ("zenodo", {"size": True}, "size of True"),
        ("zenodo", {"key": "../a"}, "not safe"),
        ("zenodo", {"key": None}, "called None, must be a text"),
        ("dandi", {"path": {}}, "called {}, must be a text"),
        ("dandi", {"asset_id": "../../x"}, "must be a UUID"),
        ("dandi", {"zarr": "1"}, "Zarr"),
        ("dandi", {"path": "/etc/passwd"}, "not safe"),
    ],
)
def test_lists_that_make_no_sense_are_refused(server, get, host, change, said):
    getattr(server, f"publish_{host}")({"a.nwb": b"a"}, **change)
    record = {"zenodo": "17", "dandi": "000001"}[host]
    with pytest.raises(ValueError, match=said):
        get(Archive(host, record, subject_of), "")


@pytest.mark.parametrize(
    "page", [b"<html>Log in</html>", b"[1, 2]", b'{"files": 3}', b'{"files": [3]}', b"[" * 90_000]
)
def test_what_is_no_list_of_zenodo_is_called_so(server, get, page):
    server.pages["/17"] = page
    with pytest.raises(ValueError, match="/17 is no list of files"):
        get(Archive("zenodo", "17", subject_of), "")


def test_a_page_of_the_web_instead_of_checksums_is_called_so(server, get, tmp_path):
    server.list(b"<!DOCTYPE html>\n<html>Log in to the hotel</html>")
    with pytest.raises(ValueError, match="no list of checksums: line 1 is '<!DOCTYPE html>'"):
        get()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("text", [b"", b"\n\n"])
def test_an_empty_list_is_refused(server, get, text):
    server.list(text)
    with pytest.raises(ValueError, match=r"physionet made/1\.0\.0 lists no files"):
        get()


@pytest.mark.parametrize(
    "name",
    UNSAFE,
)
def test_names_that_could_leave_the_folder_are_refused(server, get, tmp_path, name):
    server.list(f"{'0' * 64} {name}\n{'1' * 64} fine.edf".encode())
    with pytest.raises(ValueError, match=r"not safe to write|no list of checksums"):
        get()
    assert not (tmp_path / "data").exists()


@given(st.text(max_size=12) | st.text("./\\: aC", max_size=9))
def test_whatever_is_accepted_stays_in_the_folder(name):
    try:
        checked([RemoteFile(name, "")], "a test")
    except RefusedError:
        return
    root = Path("/somewhere/data")
    assert Path(os.path.normpath(root / name)).is_relative_to(root)
    assert name


def test_a_name_that_stands_twice_must_mean_the_same(server, get):
    server.list(f"{'0' * 64} a.edf\n{'1' * 64} a.edf".encode())
    with pytest.raises(ValueError, match=r"lists 'a\.edf' twice"):
        get()


def test_a_list_is_not_read_beyond_what_lists_are(server, get, monkeypatch):
    monkeypatch.setattr(asking, "MOST_TEXT", 100_000)
    server.spoil("SHA256SUMS.txt", endless)
    with pytest.raises(ValueError, match="which no list of files has"):
        get()


@pytest.mark.parametrize("inside", [True, False])
def test_links_out_of_the_folder_are_not_followed(server, get, tmp_path, inside):
    other = tmp_path / ("data/elsewhere" if inside else "other")
    other.mkdir(parents=True)
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "p1").symlink_to(other)
    server.publish(ONE)
    assert bool(get().failures) != inside
    assert (other / "a.edf").exists() == inside


def test_an_unfinished_file_that_is_a_link_is_not_written_through(server, get, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "data" / "p1").mkdir(parents=True)
    (tmp_path / "data" / "p1" / "a.edf.part").symlink_to(tmp_path / "mine")
    server.publish(ONE)
    assert get().fetched == 1
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_a_broken_connection_is_gone_on_from(server, get, tmp_path):
    server.publish(ONE)
    server.spoil("p1/a.edf", breaks_off(1000), breaks_off(5000))
    assert get().fetched == 1
    ranges = [head.get("Range") for method, path, head in server.asked if "a.edf" in path]
    assert ranges == [None, None, "bytes=1000-", "bytes=6000-"]
    assert on_disk(tmp_path / "data") == ONE


def test_a_file_that_changed_meanwhile_is_begun_anew(server, get, tmp_path):
    server.publish_zenodo({"a.mat": BIG}, checksum="")
    server.faults["GET", "/17/files/a.mat/content"] = [breaks_off(1000), status(404)]
    assert get(Archive("zenodo", "17", subject_of), "").failures
    server.pages["/17/files/a.mat/content"] = BIG[::-1]
    assert get(Archive("zenodo", "17", subject_of), "").fetched == 1
    assert on_disk(tmp_path / "data") == {"a.mat": BIG[::-1]}


@pytest.mark.parametrize(
    "fault",
    [
        whole,
        unmeasured,
        status(416, Content_Range="bytes */7"),
        part(BIG[:500], "bytes 0-499/300000"),
        part(BIG[1000:], "bytes 1000-299999/999"),
        part(BIG[1000:], "nonsense"),
    ],
)
def test_servers_that_do_not_go_on_as_asked_are_borne(server, get, tmp_path, fault):
    server.publish(ONE)
    server.spoil("p1/a.edf", breaks_off(1000), fault)
    assert get().fetched == 1
    assert on_disk(tmp_path / "data") == ONE
    assert server.fetched("a.edf") <= 3


def test_what_is_whole_already_only_gets_its_name(server, get, tmp_path):
    server.publish(ONE)
    (tmp_path / "data" / "p1").mkdir(parents=True)
    (tmp_path / "data" / "p1" / "a.edf.part").write_bytes(BIG)
    assert get().fetched == 1
    assert server.fetched("a.edf") == 0


def test_what_is_whole_is_accepted_when_nobody_says_how_long_it_is(server, get, tmp_path):
    server.publish(ONE)
    server.spoil("p1/a.edf", unmeasured, method="HEAD")
    (tmp_path / "data" / "p1").mkdir(parents=True)
    (tmp_path / "data" / "p1" / "a.edf.part").write_bytes(BIG)
    assert (get().fetched, server.fetched("a.edf")) == (1, 1)
    assert on_disk(tmp_path / "data") == ONE


def test_a_beginning_that_nothing_could_prove_is_not_gone_on_from(server, get, tmp_path):
    server.publish_zenodo({"a.mat": BIG}, checksum="")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.mat.part").write_bytes(b"of another version")
    assert get(Archive("zenodo", "17", subject_of), "").fetched == 1
    assert on_disk(tmp_path / "data") == {"a.mat": BIG}


@pytest.mark.parametrize("left", [BIG[:-1] + b"?", BIG + b"longer", b"wrong"])
def test_a_wrong_beginning_is_found_out_and_fetched_again(server, get, tmp_path, left):
    server.publish(ONE)
    (tmp_path / "data" / "p1").mkdir(parents=True)
    (tmp_path / "data" / "p1" / "a.edf.part").write_bytes(left)
    assert get().fetched == 1
    assert on_disk(tmp_path / "data") == ONE


def test_wrong_bytes_are_thrown_away_and_asked_for_again(server, get, tmp_path):
    server.publish(ONE)
    server.spoil("p1/a.edf", sends(BIG[::-1]))
    assert get().fetched == 1
    assert on_disk(tmp_path / "data") == ONE


def test_wrong_bytes_twice_are_one_sentence_and_leave_nothing(server, get, tmp_path):
    server.publish(FILES)
    server.spoil("p1/b.edf", *[sends(b"w" * 999)] * 9)
    (said,) = get().failures
    assert said.endswith("p1/b.edf has not the listed checksum, 2 times in a row")
    assert server.fetched("b.edf") == 2
    assert set(on_disk(tmp_path / "data")) == set(FILES) - {"p1/b.edf"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (sends(BIG, Content_Length=len(BIG) + 9), "promises 300009 bytes where 300000 are listed"),
        (sends(BIG, Content_Length=100), "promises 100 bytes where 300000 are listed"),
        (sends(b"short", Content_Length=len(BIG)), "broke off after 5 of 300000 bytes"),
        (sends(BIG, Content_Length=-5), ""),
        (hangs_up, "does not answer"),
        (babbles, "does not answer (BadStatusLine)"),
        (status(503), "answers 503 Service Unavailable"),
    ],
)
def test_lengths_that_are_not_true_end_in_one_sentence(server, get, waits, fault, said):
    server.publish(ONE)
    server.spoil("p1/a.edf", *[fault] * 50)
    failures = get().failures
    assert bool(failures) == bool(said)
    assert all(said in one and "6 times in a row" in one and "\n" not in one for one in failures)
    assert len(waits) <= 5


def test_a_body_without_end_is_left_at_the_promised_size(server, get, tmp_path):
    server.publish(FILES)
    server.spoil("p1/b.edf", *[endless] * 9)
    assert len(get().failures) == 1
    assert server.fetched("b.edf") == 2
    assert set(on_disk(tmp_path / "data")) == set(FILES) - {"p1/b.edf"}


def test_a_body_without_end_or_size_is_refused(server, get):
    server.publish(ONE)
    server.spoil("p1/a.edf", unmeasured, method="HEAD")
    server.spoil("p1/a.edf", endless)
    assert get().failures[0].endswith("does not say how long it is")


def test_a_body_that_only_drips_is_given_up(server, get):
    server.publish(ONE)
    server.spoil("p1/a.edf", *[drips] * 6)
    started = time.monotonic()
    assert "fell below 1 kB/s, 6 times" in get(watch=0.05).failures[0]
    assert time.monotonic() - started < 5


def test_a_server_that_falls_silent_is_left(server, get):
    server.publish(ONE)
    server.spoil("p1/a.edf", *[lambda asked, page: time.sleep(0.4)] * 6)
    assert "does not answer (timed out), 6 times in a row" in get(timeout=0.05).failures[0]


def test_attempts_that_bring_much_do_not_count(server, get, monkeypatch):
    monkeypatch.setattr("ranvier.download.transfer.GAIN", 1000)
    server.publish(ONE)
    server.spoil("p1/a.edf", *[breaks_off(20_000)] * 14)
    assert get().fetched == 1


def test_attempts_that_begin_again_and_again_do_count(server, get, monkeypatch):
    monkeypatch.setattr("ranvier.download.transfer.GAIN", 1000)
    server.publish(ONE)
    server.spoil("p1/a.edf", *[sends(BIG[:9000], Content_Length=len(BIG))] * 99)
    assert get().failures
    assert server.fetched("a.edf") <= 8


def test_waits_grow_and_are_spread(server, get, waits):
    server.publish(ONE)
    server.spoil("p1/a.edf", *[status(500)] * 4)
    assert get().fetched == 1
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(waits))
    assert len(set(np.array(waits) / 2.0 ** np.arange(4))) == 4


def later(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("asked", [lambda: "40", lambda: later(41), lambda: later(43)])
def test_what_a_server_asks_to_wait_is_waited(server, get, waits, asked):
    server.publish(ONE)
    server.spoil("p1/a.edf", status(429, Retry_After=asked()))
    assert get().fetched == 1
    assert 30 < waits[0] < 44


@pytest.mark.parametrize(
    "asked", ["soon", "-3", "Mon, 99 Foo 20", "Sat, 21 Nov 2015 10:00:00 GMT", "٣"]
)
def test_waits_that_make_no_sense_are_the_usual_ones(server, get, waits, asked):
    server.publish(ONE)
    server.spoil("p1/a.edf", status(503, Retry_After=asked.encode().decode("latin-1")))
    assert get().fetched == 1
    assert waits[0] <= 1


def test_a_server_that_asks_to_come_back_tomorrow_is_left(server, get, waits):
    server.publish(ONE)
    server.spoil("p1/a.edf", status(429, Retry_After="86400"))
    assert get().failures[0].endswith("and asks to wait for 86400 s")
    assert waits == []


def test_a_file_that_is_not_there_does_not_keep_the_others_from_coming(server, get, tmp_path):
    server.publish(FILES)
    del server.pages["/files/made/1.0.0/p1/b.edf"]
    done = get()
    assert done.failures[0].partition(" for ")[0].endswith("answers 404 Not Found")
    assert (done.fetched, server.fetched("b.edf")) == (3, 1)


LONG = "x" * 300


@pytest.mark.parametrize(
    ("listed", "folder"),
    [(["a", "b"], "a"), (["a", "b"], "a.part"), (["a", "a/b", "b"], ""), (["b", LONG], "")],
)
def test_a_name_that_cannot_be_written_does_not_keep_the_others_from_coming(
    server, get, tmp_path, listed, folder
):
    server.publish({name: name.encode() for name in listed})
    (tmp_path / "data" / folder).mkdir(parents=True)
    done = get(threads=1)
    assert (done.fetched, len(done.failures)) == (len(listed) - 1, 1)
    assert "cannot be written (" in done.failures[0]
    assert (tmp_path / "data" / "b").read_bytes() == b"b"


def test_three_files_that_fail_are_enough(server, get):
    server.publish({f"{n}.edf": b"x" for n in range(30)})
    for n in range(30):
        server.spoil(f"{n}.edf", *[status(500)] * 99)
    failures = get(threads=1).failures
    assert failures[3:] == ("27 more files were not tried",)


def test_twenty_files_that_are_not_there_are_enough(server, get):
    server.publish({f"{n}.edf": b"x" for n in range(50)})
    server.pages = {path: page for path, page in server.pages.items() if "SUMS" in path}
    assert get(threads=1).failures[20:] == ("30 more files were not tried",)


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/a", "data:,a", "//["])
def test_redirects_out_of_the_web_are_refused(server, get, tmp_path, target):
    server.publish(ONE)
    server.spoil("p1/a.edf", redirect(target))
    assert "redirects to" in get().failures[0]
    assert on_disk(tmp_path / "data") == {}


def test_redirects_that_go_round_are_refused(server, get):
    server.publish(ONE)
    server.spoil("p1/a.edf", *[redirect("a.edf")] * 99)
    assert get().failures[0].endswith("redirects more than 5 times")
    assert server.fetched("a.edf") == 6


def test_a_redirect_from_a_safe_page_to_an_unsafe_one_is_refused():
    with pytest.raises(RefusedError, match="must be a page of https"):
        asking._redirected("https://example.org/a", "http://example.org/b")


def test_an_archive_that_cannot_be_reached_is_one_sentence(server, get, waits):
    server.server_close()
    with pytest.raises(ValueError, match=r"does not answer .*, 6 times in a row"):
        get()
    assert len(waits) == 5


def test_nothing_is_begun_that_the_disk_has_no_room_for(server, get, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9e9, 9e9, 1e8))
    server.publish_zenodo({"a.mat": BIG}, size=42_600_000_000)
    with pytest.raises(ValueError, match=r"42\.6 GB are needed, 0\.1 GB are free"):
        get(Archive("zenodo", "17", subject_of), "")
    assert on_disk(tmp_path / "data") == {}


def test_a_disk_that_fills_up_is_one_sentence_and_what_is_done_is_kept(server, get, monkeypatch):
    server.publish(FILES)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "a.edf")

    monkeypatch.setattr("ranvier.download.transfer.blocks", full)
    with pytest.raises(OSError, match="No space left"):
        get()


def test_an_interrupted_download_goes_on_where_it_was(server, get, tmp_path):
    server.publish({f"{n}.edf": BIG for n in range(6)})

    def stop(what, done, total):
        if what == "MB" and server.fetched("2.edf"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(threads=1, progress=stop)
    there = {path for path in on_disk(tmp_path / "data") if path.endswith(".edf")}
    server.asked.clear()
    assert get().kept == len(there) >= 2
    assert not [path for path in there if server.fetched(path)]


def test_files_that_lay_there_before_are_compared_once(server, get, tmp_path):
    server.publish(FILES)
    (tmp_path / "data" / "p1").mkdir(parents=True)
    (tmp_path / "data" / "p1" / "b.edf").write_bytes(FILES["p1/b.edf"])
    done = get()
    assert (done.kept, done.replaced, server.fetched("b.edf")) == (1, 0, 0)


def test_a_file_with_other_bytes_is_replaced_and_that_is_said(server, get, tmp_path):
    server.publish(FILES)
    get()
    (tmp_path / "data" / "p1" / "b.edf").write_bytes(b"B" * 999)
    done = get()
    assert (done.fetched, done.replaced, done.kept) == (1, 1, 3)
    assert on_disk(tmp_path / "data") == FILES


def test_a_file_that_is_replaced_stays_until_the_new_one_is_there(server, get, tmp_path):
    server.publish(ONE)
    (tmp_path / "data" / "p1").mkdir(parents=True)
    (tmp_path / "data" / "p1" / "a.edf").write_bytes(b"mine")
    server.spoil("p1/a.edf", status(404))
    assert get().failures
    assert on_disk(tmp_path / "data") == {"p1/a.edf": b"mine"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"files": 3}', '{"files": {"a": [1]}}', "[" * 9999]
)
def test_spoilt_marks_only_cost_reading_again(server, get, tmp_path, text):
    server.publish(FILES)
    get()
    (tmp_path / "data" / MARKS).write_text(text)
    server.asked.clear()
    assert get().kept == 4
    assert not any(server.fetched(path) for path in ("b.edf", "c.edf"))


def test_progress_counts_megabytes_up_to_all(server, get):
    server.publish({"a.edf": bytes(3_000_000)})
    told = []
    get(progress=lambda *one: told.append(one))
    assert told[-1] == ("MB", 3, 3)
    assert told[0] == ("asking for sizes", 1, 1)


def test_work_that_falls_silent_is_left():
    with pytest.raises(ValueError, match=r"Nothing came for 0\.1 s"):
        list(side_by_side(lambda *_: time.sleep(0.5), [1], threads=1, silence=0.1))


def test_lists_can_be_had_alone(server):
    server.publish(FILES)
    found = list_files(MADE.archive, Manners(np.random.default_rng()), base=f"{server.url}/files")
    assert [one.path for one in found] == list(FILES)


@pytest.fixture
def command(server, tmp_path, monkeypatch, capsys):
    """Run the command on the server."""
    monkeypatch.setitem(DATASETS, "made", "archive_server:MADE")
    monkeypatch.setattr("ranvier.download.physionet.BASE", f"{server.url}/files")

    def run(*words: str):
        code = main(["download", words[0], str(tmp_path / "my data"), *words[1:]])
        return code, *capsys.readouterr()

    return run


def test_the_command_says_the_terms_and_what_comes_next(server, command, tmp_path):
    server.publish(FILES)
    code, out, err = command("made", "--subjects", "p1")
    assert code == 0
    assert "note: Made recordings is given under CC0; cite Nobody, 2024" in err
    assert out.startswith("3 files of made fetched, 0 were there already; 0.00 GB in ")
    assert f"Next: ranvier evaluate --task seizure --data '{tmp_path}/my data' --out res" in out


def test_the_command_fails_with_what_is_missing(server, command):
    server.publish(FILES)
    server.spoil("p2/c.edf", status(403))
    code, out, _ = command("made", "--json")
    assert code == 1
    assert json.loads(out)["failures"][0].partition("answers ")[2].startswith("403 Forbidden")


def test_several_subjects_stand_between_commas_or_spaces(server, command):
    server.publish(FILES)
    assert command("made", "--subjects", "p1,p2")[0] == 0
    for same in ("p1 p2", "p1-p2", "1-2"):
        assert "4 were there already" in command("made", "--subjects", same)[1]


@pytest.mark.parametrize("name", ["nsrr", "tusz"])
def test_what_must_be_asked_for_is_said_in_one_sentence(command, tmp_path, name):
    code, out, err = command(name)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert re.search(rf"{name} cannot be downloaded by this command: Ask .*https://", err)
    assert not (tmp_path / "my data").exists()


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_has_an_archive_or_a_way_to_ask(name):
    from ranvier.datasets import data_set

    known = data_set(name)
    assert known.archive is not None or known.access
