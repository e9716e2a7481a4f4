"""The report of movement shows decoders side by side, trajectories and lags, and hides nothing."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from ranvier.beside import LagTuning
from ranvier.certificate import Certificate
from ranvier.decisions import MotionRule
from ranvier.decoder import Decoder
from ranvier.decoding import Prediction
from ranvier.evaluation import Evaluation, FoldResult
from ranvier.recipe import recipe_from
from ranvier.report import write_report
from ranvier.report_movement import choose_recording, find_reaches
from ranvier.splits import Fold
from ranvier.truth import Trajectory

HOSTILE = '<script src="http://evil">&\'$x_1$'
HOP = 0.05
SECTIONS = (
    "What was run",
    "Who was in which part",
    "Decoders side by side",
    "Trajectories",
    "Lags",
    "File and live",
    "Details",
)
LAGS = LagTuning((-0.05, 0.0, 0.05), (0.1, 0.2, 0.3))


def moved(axes=("x", "y"), seconds=60.0, gap=0) -> Trajectory:
    """Make strokes to and fro; every ``gap`` samples one is not known."""
    time = HOP * np.arange(1, round(seconds / HOP) + 1)
    ways = [20 * np.sin(2 * np.pi * (0.5 + 0.1 * i) * time + i) for i in range(len(axes))]
    values = np.stack(ways, axis=1)
    if gap:
        values[::gap] = np.nan
    return Trajectory(values, 1 / HOP, seconds, axes, "cm/s", first=HOP)


def told(truth: Trajectory, noise: float, name: str, seed: int) -> Prediction:
    rng = np.random.default_rng(seed)
    times = HOP * np.arange(1, len(truth) + 1)
    values = truth.targets(times, HOP) + noise * rng.normal(size=truth.values.shape)
    none, rule = values[:, :0], MotionRule(truth.axes, truth.unit)
    return Prediction(name, name, truth.duration, HOP, times, values, none, none, (), rule)


def evaluation(*truths: Trajectory, name="s", noise=5.0, lags=LAGS) -> Evaluation:
    """Make an evaluation with a fold for each session, in which the network is the best."""
    folds = []
    for number, truth in enumerate(truths):
        called = f"{name}{number}"
        fold = Fold(number, (f"{called}-1",), (f"{called}-2",), (called,), in_time=True)
        rule = MotionRule(truth.axes, truth.unit)
        weights = {"weight": np.zeros((3, 4))}
        decoder = Decoder("movement", (), (), 1 / HOP, "gru", {}, weights, rule)
        found = {
            which: [told(truth, factor * noise + number, called, seed)]
            for seed, (which, factor) in enumerate(
                {"gru": 1, "ridge": 1.5, "Kalman": 2, "mean": 3, "shuffled": 3}.items()
            )
        }
        own, ridge = found.pop("gru"), found.pop("ridge")
        parts = Certificate(fold, {}, "scorer"), decoder, own, ridge, {called: truth}, rule, []
        folds.append(FoldResult(*parts, found, lags))
    return Evaluation(recipe_from("movement", network="gru"), folds, {"python": "3"})


def page_of(made: Evaluation, folder, **more) -> str:
    return write_report(made, folder / "report.html", **more).read_text(encoding="utf-8")


def words_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def section_of(page: str, title: str) -> str:
    return page.partition(f"<h2>{title}</h2>")[2].partition("</section>")[0]


@pytest.fixture(scope="module")
def usual() -> Evaluation:
    return evaluation(moved(gap=40))


@pytest.fixture(scope="module")
def usual_page(usual, tmp_path_factory) -> str:
    return page_of(usual, tmp_path_factory.mktemp("usual"))


def test_every_section_is_there_in_this_order(usual_page):
    assert tuple(re.findall("<h2>(.*?)</h2>", usual_page)) == SECTIONS


def test_the_page_fetches_nothing_and_figures_have_titles_and_captions(usual_page):
    assert not re.search(r"https?:|src=|<script|<link|@import|<iframe", usual_page)
    figures = 2 + (1 + 2) + 2
    assert usual_page.count("<svg") == usual_page.count("<title>") - 1 == figures
    assert usual_page.count("<figcaption>") == figures
    assert not re.search(r"<th(?! scope=)[ >]", usual_page)
    assert "nan" not in words_of(usual_page)


def test_every_decoder_has_a_row_with_both_means_and_intervals(usual, usual_page):
    said = section_of(usual_page, "Decoders side by side")
    compared = usual.scores.comparison
    for name in ("gru", "ridge", "Kalman", "mean", "shuffled"):
        assert f'<th scope="row"><bdi>{name}</bdi></th>' in said
        assert f"<bdi>{compared.mean(name, 'weighted')[0]:.3f}</bdi>".replace("-", "−") in said
    low, high = compared.difference("gru")[1:]
    assert f"<small>{low:+.3f} to {high:+.3f}</small>" in said
    assert "gru is above the better of ridge and Kalman" in said
    assert "95 % over 31 trials" in said or "95 % over 30 trials" in said


def test_a_network_that_is_worse_is_said_to_be_so(tmp_path):
    good = evaluation(moved(gap=40))
    (fold,) = good.folds
    turned = replace(fold, predictions=fold.baseline, baseline=fold.predictions)
    page = page_of(replace(good, folds=[turned]), tmp_path)
    assert "gru is below the better of ridge and Kalman" in page


def test_several_sessions_have_a_table_and_a_signed_rank_test(tmp_path):
    page = page_of(evaluation(*[moved()] * 6), tmp_path)
    said = section_of(page, "Decoders side by side")
    assert all(f"<bdi>s{number}</bdi>" in said for number in range(6))
    assert "95 % over 6 sessions" in said
    assert "in 6 of 6 sessions, Wilcoxon signed rank p = 0.031" in said
    assert "in the middle of 6 tested parts" in section_of(page, "Trajectories")


def test_the_session_in_the_middle_is_shown():
    assert choose_recording(evaluation(*[moved()] * 3).scores) == "s1"


def test_trials_are_reaches_and_velocity_is_added_up(usual):
    (score,) = usual.scores.recordings.values()
    reaches = find_reaches(score, "cm/s")
    assert len(reaches) == score.units.number
    first = score.units.of == 0
    np.testing.assert_allclose(reaches[0].true[-1], score.targets[first].sum(axis=0) * HOP)
    assert (reaches[0].true[0] == 0).all()
    positions = find_reaches(score, "cm")[0].true
    np.testing.assert_allclose(positions[1:], score.targets[first] - score.targets[first][0])


def test_without_trials_reaches_are_where_the_hand_moves_fast():
    truth = moved(seconds=80)
    rests = np.arange(len(truth)) % 40 < 20
    still = replace(truth, values=np.outer(~rests, [20.0, 0.0]))
    (score,) = evaluation(still).scores.recordings.values()
    reaches = find_reaches(score, "cm/s")
    assert len(reaches) == 40
    assert {len(one.true) for one in reaches} == {21}


def test_one_axis_has_a_trajectory_and_no_plane(tmp_path):
    page = page_of(evaluation(moved(("grip",))), tmp_path)
    assert section_of(page, "Trajectories").count("<svg") == 1
    assert "grip (cm/s)" in section_of(page, "Trajectories")


def test_the_lag_at_which_counts_tell_most_is_said(usual_page):
    said = words_of(section_of(usual_page, "Lags"))
    assert "Highest at +50 ms." in said
    assert "Highest at 0 ms for gru" in said


def test_sessions_of_different_bins_have_no_common_tuning(tmp_path):
    made = evaluation(moved(), moved())
    other = replace(made.folds[1], lags=LagTuning((0.0,), (0.5,)))
    page = page_of(replace(made, folds=[made.folds[0], other]), tmp_path)
    assert "How counts lead" not in page


def test_deadline_misses_are_told_beside_percentiles(usual, tmp_path):
    times = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    late = {"block_seconds": 0.05, "late": 3, "answers": 1200, "compute_seconds": times}
    said = words_of(section_of(page_of(usual, tmp_path, latency=late), "File and live"))
    assert "3 of 1,200 answers took longer to compute than the 50 ms that a bin lasts" in said
    assert "1.00 ms 2.00 ms 3.00 ms" in said


def test_an_evaluation_of_an_older_version_is_shown_with_what_it_has(usual, tmp_path):
    (fold,) = usual.folds
    old = replace(usual, folds=[replace(fold, beside={}, lags=LagTuning())])
    page = page_of(old, tmp_path)
    assert "<bdi>ridge</bdi>" in page
    assert "<bdi>Kalman</bdi>" not in page


def test_hostile_names_are_escaped_everywhere(tmp_path):
    truth = replace(moved((HOSTILE, "y"), gap=40), unit=HOSTILE)
    page = page_of(evaluation(truth, name=HOSTILE), tmp_path)
    assert "<script" not in page
    assert "&lt;script" in page


def test_nothing_known_is_said_and_does_not_raise(tmp_path):
    truth = moved()
    unknown = replace(truth, values=np.full_like(truth.values, np.nan))
    page = page_of(evaluation(unknown), tmp_path)
    assert "cannot be compared" in page
    assert "There is none" in section_of(page, "Trajectories")
