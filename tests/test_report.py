"""The report says what happened, hides nothing and fetches nothing."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from ranvier import figures
from ranvier.certificate import Certificate
from ranvier.decisions import AlarmRule
from ranvier.decoder import Decoder
from ranvier.decoding import Prediction
from ranvier.evaluation import Evaluation, FoldResult
from ranvier.figures import count_hits, flat_position
from ranvier.live.runner import Certified
from ranvier.recipe import Recipe
from ranvier.report import choose_excerpt, write_report
from ranvier.splits import Fold
from ranvier.tasks.seizure_scores import auroc
from ranvier.truth import Events

HOUR = 3600.0
SITES = ("Fp1-F7", "T3-T5", "Cz-Pz", "O2")
HOSTILE = '<script src="http://evil">&\'$x_1$\udc80'
SEIZURE = ((600.0, 660.0),)


def predict(*found, subject="a", name="", duration=HOUR, sites=SITES, hop=2.0) -> Prediction:
    """Make a prediction whose probability is high from each onset to each end."""
    times = np.arange(hop, duration + 1e-9, hop)
    inside = Events.from_intervals(found, duration).targets(times, hop)
    rng = np.random.default_rng(0)
    probability = np.where(inside > 0, 0.9, 0.2) + rng.uniform(-0.1, 0.1, len(times))
    probability[:3] = np.nan
    rows, values = np.full((len(times), 3), np.nan), probability[:, None]
    each = probability[:, None] * rng.uniform(0.5, 1, (1, len(sites)))
    blank = Prediction(
        name or subject, subject, duration, hop, times, values, rows, each, sites, AlarmRule()
    )
    return blank.decided_by(AlarmRule())


def evaluation(*pairs, baseline=None) -> Evaluation:
    """Make an evaluation of one fold from (prediction, seizures) pairs."""
    predictions = [prediction for prediction, _ in pairs]
    truth = {one.name: Events.from_intervals(seizures, one.duration) for one, seizures in pairs}
    fold = Fold(0, ("train",), ("chosen",), tuple({one.subject for one in predictions}))
    weights = {"weight": np.zeros((3, 4)), "bias": np.zeros(3)}
    decoder = Decoder("seizure", (), (), 1.0, "rest", {}, weights)
    certificate = Certificate(fold, {"weights": "train"}, "scorer")
    plain = baseline or predictions
    result = FoldResult(certificate, decoder, predictions, plain, truth, AlarmRule(), [])
    return Evaluation(Recipe(), [result], {"python": "3"})


def headline_of(*pairs) -> str:
    return evaluation(*pairs).scores.headline()


def page_of(made: Evaluation, folder: Path, **options) -> str:
    return write_report(made, folder / "report.html", **options).read_text(encoding="utf-8")


def words_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


@pytest.fixture
def usual() -> Evaluation:
    found = predict((600, 660), (2000, 2060), subject="a")
    missed = predict(subject="b")
    return evaluation((found, SEIZURE), (missed, SEIZURE))


def test_the_headline_says_what_was_found_at_which_price_and_how_fast(usual):
    said = usual.scores.headline()
    assert said == (
        "Found 1 of 2 seizures in 2 new patients, 12 false alarms a day, the alarm within 6 s."
    )


def test_an_evaluation_is_shown_as_its_headline(usual):
    assert repr(usual) == f"Evaluation: {usual.headline()}"


def test_the_headline_has_singular_and_no_false_alarm():
    said = headline_of((predict((600, 660), duration=2 * HOUR), SEIZURE))
    assert said == (
        "Found 1 of 1 seizure in 1 new patient, no false alarm in 2 hours, the alarm within 6 s."
    )


def test_the_headline_does_not_give_a_rate_on_little_background():
    said = headline_of((predict((100, 160), duration=900.0), SEIZURE))
    assert said == (
        "Found none of 1 seizure in 1 new patient, "
        "false alarms cannot be measured on this little background."
    )


def test_the_headline_says_when_there_were_no_seizures():
    said = headline_of((predict((100, 160)), ()))
    assert said == "There were no seizures to find in 1 new patient, 24 false alarms a day."


def test_the_headline_says_when_alarms_come_before_the_onset():
    pairs = [(predict((590, 660), subject=name, duration=2 * HOUR), SEIZURE) for name in "ab"]
    assert headline_of(*pairs).endswith("half of the alarms at least 4 s before the marked onset.")


def late(name: str) -> Prediction:
    """Find a seizure by an alarm that began long before it."""
    return predict((200, 660), subject=name, duration=2 * HOUR)


def test_the_headline_says_for_how_many_of_those_found_there_is_an_alarm():
    timely = predict((600, 660), subject="b", duration=2 * HOUR)
    said = headline_of((late("a"), SEIZURE), (timely, SEIZURE))
    assert said.endswith("an alarm for 1 of 2, within 6 s.")
    two = replace(timely, name="c", subject="c")
    said = headline_of((late("a"), SEIZURE), (timely, SEIZURE), (two, SEIZURE))
    assert said.endswith("an alarm for 2 of 3, half of them within 6 s.")


def test_the_delay_of_one_alarm_has_no_interval(usual):
    assert np.isnan(usual.scores.intervals["median_delay"]).all()
    assert not np.isnan(usual.scores.intervals["sensitivity"]).any()


def test_parts_of_one_patients_recordings_are_one_patient():
    parts = [f"{name}_part-3 of m" for name in ("r", "s")]
    pairs = [(predict((600, 660), subject=part), SEIZURE) for part in parts]
    assert headline_of(*pairs).startswith("Found 2 of 2 seizures in 1 new patient, ")
    scores = evaluation(*pairs).scores
    assert scores.table(scores)[1][0] == "m"
    assert np.isnan(scores.intervals["sensitivity"]).all()


def test_who_is_only_assumed_is_said_in_headline_and_certificate(usual, tmp_path):
    (fold,) = usual.folds
    doubted = replace(fold, certificate=replace(fold.certificate, assumed=("a", "b")))
    words = words_of(page_of(replace(usual, folds=[doubted]), tmp_path))
    assert "the alarm within 6 s. Who is who is only assumed." in words
    assert "No person is in two parts, but who is who is only assumed." in words
    assert "only assumed" not in words_of(page_of(usual, tmp_path))


def test_one_false_alarm_a_day_is_singular():
    quiet = predict((100, 160), duration=24 * HOUR, hop=20.0)
    assert headline_of((quiet, ())).endswith("patient, 1 false alarm a day.")


def test_a_person_under_two_names_is_one_patient():
    pairs = [(predict((600, 660), subject=name), SEIZURE) for name in ("chb01", "chb21")]
    assert "in 1 new patient," in headline_of(*pairs)


def test_the_page_fetches_nothing(usual, tmp_path):
    page = page_of(usual, tmp_path)
    links = re.findall(r'(?:href|src|url)\s*[=(]\s*"?([^")\s]{5})', page)
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"https?:|src=|<script|<link|@import|<iframe", page)


def test_the_page_is_small_and_nothing_else_is_left_behind(usual, tmp_path):
    path = write_report(usual, tmp_path / "new" / "report.html")
    assert path.stat().st_size < 3e6
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_report_leaves_the_old_page(usual, tmp_path, monkeypatch):
    path = write_report(usual, tmp_path / "report.html")
    before = path.read_bytes()
    monkeypatch.setattr(Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(usual, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_hostile_names_are_escaped_everywhere(tmp_path):
    hostile = predict((600, 660), subject=HOSTILE, name=HOSTILE, sites=("<b>", "$x_", "Cz", "O2"))
    made = evaluation((replace(hostile, notes=(HOSTILE,)), SEIZURE))
    certified = Certified(HOSTILE, 1, 1, 1, 0.0, same_validity=True, same_decisions=True)
    page = page_of(made, tmp_path, certified=certified, latency={HOSTILE: {HOSTILE: 1.0}})
    assert "<script" not in page
    assert "<b>" not in page
    assert page.count("&lt;script src=") >= 6


def test_tables_name_their_rows_and_columns_and_figures_have_titles(usual, tmp_path):
    page = page_of(usual, tmp_path)
    assert '<html lang="en">' in page
    assert not re.search(r"<th(?! scope=)[ >]", page)
    assert page.count("<svg") == page.count("<title>") - 1 == page.count("<figcaption>") == 4


def test_the_page_says_where_the_baseline_is_ahead(tmp_path):
    plain = [predict((600, 660))]
    made = evaluation((predict((2000, 2060)), SEIZURE), baseline=plain)
    said = words_of(page_of(made, tmp_path))
    assert "The baseline is ahead of the network on" in said
    assert "sensitivity (1.000 against 0.000)" in said


def test_the_page_says_where_the_baseline_is_not_ahead(usual, tmp_path):
    said = words_of(page_of(usual, tmp_path))
    assert "The baseline is ahead of the network on none of the 7 pooled scores" in said


def test_a_score_that_is_nan_is_a_dash_and_the_rule_stands_below(tmp_path):
    page = page_of(evaluation((predict(), ())), tmp_path)
    assert ">nan" not in page.lower()
    assert "<bdi>–</bdi>" in page
    assert "Sensitivity is NaN without a reference" in page


def test_a_recording_without_seizures_has_no_curve_but_a_timeline(tmp_path):
    page = page_of(evaluation((predict(), ())), tmp_path)
    assert "There is no curve: the outputs are all of one class." in page
    assert "when the probability was highest in this stretch" in page


def test_false_alarms_on_little_background_are_not_measurable(tmp_path):
    pairs = [(predict((100, 160), subject=name, duration=2400.0), SEIZURE) for name in "ab"]
    page = page_of(evaluation(*pairs), tmp_path)
    rate = re.search(r"<bdi>False alarms per 24 h</bdi></th>(.*)</tr>", page)
    assert rate[1].count("not measurable") == 2
    assert page.count("<bdi>not measurable</bdi>") == 4


def test_one_patient_has_no_interval(tmp_path):
    page = page_of(evaluation((predict((600, 660)), SEIZURE)), tmp_path)
    assert "<small>" not in page


def test_a_recording_that_is_never_valid_is_said_to_be_so(tmp_path):
    silent = predict(duration=900.0)
    silent.probability[:] = np.nan
    assert "Not one output is valid." in page_of(evaluation((silent, SEIZURE)), tmp_path)


def test_a_recording_shorter_than_a_window_is_reported(tmp_path):
    short = predict((600, 660), duration=1.0)
    assert "Not one output is valid." in page_of(evaluation((short, ())), tmp_path)


def test_few_delays_are_listed_and_many_are_drawn(usual, tmp_path):
    assert "Too few for a histogram: 6.0 s." in page_of(usual, tmp_path)
    many = [(predict((600 + i, 660), subject=str(i)), SEIZURE) for i in range(5)]
    page = page_of(evaluation(*many), tmp_path)
    assert "Histogram of the delays" in page
    assert "The median delay is 8.0 s" in page


def test_the_page_says_whether_file_and_live_agree(usual, tmp_path):
    assert "Not certified" in page_of(usual, tmp_path)
    wrong = Certified("a", 10, 2, 1, 0.5, same_validity=True, same_decisions=False)
    latency = {"age_seconds": {"p50": 1.25, "p99": float("nan")}}
    page = page_of(usual, tmp_path, certified=wrong, latency=latency)
    assert '<p class="bad">File and live DO NOT agree on a' in page
    assert "1.25 ms" in page


def test_many_folds_are_folded_away(usual, tmp_path):
    many = Evaluation(usual.recipe, usual.folds * 4, usual.versions)
    page = page_of(many, tmp_path)
    assert "<summary>Certificates of the 4 folds</summary>" in page
    assert "No person is in two parts." in page


def test_the_notes_of_a_recording_stand_once(tmp_path):
    noted = replace(predict((600, 660)), notes=("mains removed",) * 2)
    assert page_of(evaluation((noted, SEIZURE)), tmp_path).count("mains removed") == 1


def test_an_evaluation_without_predictions_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Invalid evaluation: 0 predictions"):
        write_report(evaluation(), tmp_path / "report.html")


def test_the_recording_shown_has_something_right_and_something_wrong(usual):
    perfect = predict((600, 660), subject="c")
    made = evaluation((perfect, SEIZURE), *zip(usual.predictions, (SEIZURE,) * 2, strict=True))
    excerpt, counts = choose_excerpt(made)
    assert excerpt.prediction.name == "a"
    assert (counts.true_positives, counts.false_positives) == (1, 1)


def test_of_a_long_recording_the_hour_around_the_seizure_is_shown(tmp_path):
    long = predict((9000, 9060), duration=6 * HOUR)
    made = evaluation((long, ((9000.0, 9060.0),)))
    excerpt, _ = choose_excerpt(made)
    assert excerpt.stop - excerpt.start == HOUR
    assert abs((excerpt.start + excerpt.stop) / 2 - 9030) <= 30
    assert re.search(r"Shown are minutes 1[12]\d to 1[78]\d of 360\.", page_of(made, tmp_path))


def test_counts_along_thresholds_give_the_area_of_the_scorer():
    rng = np.random.default_rng(0)
    labels, probability = rng.integers(0, 2, 500), rng.integers(0, 20, 500) / 20
    true, false = (np.append(0, counts) / counts[-1] for counts in count_hits(labels, probability))
    assert np.trapezoid(true, false) == pytest.approx(auroc(labels, probability))


def test_a_head_is_seen_from_above_with_the_nose_at_the_top():
    assert flat_position("Cz") == pytest.approx((0, 0), abs=1e-9)
    assert flat_position("T4") == pytest.approx((92 / figures.RIM, 0))
    assert flat_position("Fp1")[1] > 0 > flat_position("O1")[1]
    assert np.hypot(*flat_position("T3-T5")) == pytest.approx(92 / figures.RIM, abs=0.01)


def test_sites_that_are_no_electrodes_have_no_head():
    assert figures.head_figure(("left", "right"), np.zeros(2)) == ""


def test_drawing_leaves_the_settings_of_matplotlib_alone(usual, tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    page_of(usual, tmp_path)
    assert dict(mpl.rcParams) == before
