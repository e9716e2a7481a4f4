"""The report of sleep staging says how nights were staged, how sure that is, and hides nothing."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from ranvier.certificate import Certificate
from ranvier.decisions import StageRule
from ranvier.decoder import Decoder
from ranvier.decoding import Prediction
from ranvier.evaluation import Evaluation, FoldResult
from ranvier.figures_sleep import StagedNight, night_figure, staged_nights
from ranvier.recipe import recipe_from
from ranvier.recording import Recording
from ranvier.report import write_report
from ranvier.report_sleep import choose_night
from ranvier.report_sleep_statistics import measure_nights
from ranvier.splits import Fold
from ranvier.tasks.sleep_statistics import STATISTICS
from ranvier.truth import SLEEP_STAGES, Hypnogram

HOSTILE = '<script src="http://evil">&\'$x_1$'
EPOCH = 30.0
CYCLE = ("W",) * 10 + ("N1",) * 6 + ("N2",) * 20 + ("N3",) * 20 + ("N2",) * 10 + ("REM",) * 14
WITHOUT_REM = tuple("N2" if stage == "REM" else stage for stage in CYCLE)
SECTIONS = (
    "What was run",
    "Who was in which part",
    "Scores",
    "Which stages are confused",
    "One night",
    "How stages follow one another",
    "What the probabilities are worth",
    "What to review",
    "Sleep statistics of each night",
    "Agreement over nights",
    "File and live",
    "Details",
)

Night = tuple[Prediction, Hypnogram]


def night(subject="a", *, stages=CYCLE, name="", right=0.8, seed=0) -> Night:
    """Make a night whose stages are found with this chance, and are held as probable as that."""
    rng = np.random.default_rng([seed, *subject.encode()])
    truth = Hypnogram(stages, len(stages) * EPOCH)
    times = EPOCH * np.arange(1, len(stages) + 1)
    found = np.nan_to_num(truth.targets(times, EPOCH)).astype(int)
    guessed = rng.random(len(found)) > right
    found[guessed] = rng.integers(0, len(SLEEP_STAGES), guessed.sum())
    values = 0.7 * np.eye(len(SLEEP_STAGES))[found] + 0.3 * rng.dirichlet(np.ones(5), len(found))
    rows = np.full((len(times), 1), np.nan)
    sites = rows[:, :0]
    blank = Prediction(
        name or subject, subject, truth.duration, EPOCH, times, values, rows, sites, (), StageRule()
    )
    return blank.decided_by(StageRule()), truth


def without(one: Night, epochs: slice) -> Night:
    """Make epochs of a night not valid."""
    values = one[0].values.copy()
    values[epochs] = np.nan
    return replace(one[0], values=values).decided_by(StageRule()), one[1]


def evaluation(*nights: Night, baseline=()) -> Evaluation:
    """Make an evaluation with a fold for each subject, which learned from the others."""
    subjects = sorted({one.subject for one, _ in nights})
    plain = {one.name: one for one, _ in baseline or nights}
    folds = []
    for number, subject in enumerate(subjects):
        others = tuple(one for one in subjects if one != subject) or ("trained",)
        own = [(one, truth) for one, truth in nights if one.subject == subject]
        certificate = Certificate(Fold(number, others, ("chosen",), (subject,)), {}, "scorer")
        weights = {"weight": np.zeros((3, 4))}
        decoder = Decoder("sleep", (), (), 1.0, "attn_sleep", {}, weights, StageRule())
        truth = {one.name: marked for one, marked in own}
        found = [one for one, _ in own]
        alike = [plain[one.name] for one in found]
        result = FoldResult(certificate, decoder, found, alike, truth, StageRule(), [])
        folds.append(result)
    return Evaluation(recipe_from("sleep"), folds, {"python": "3"})


def page_of(made: Evaluation, folder) -> str:
    return write_report(made, folder / "report.html").read_text(encoding="utf-8")


def words_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def section_of(page: str, title: str) -> str:
    return page.partition(f"<h2>{title}</h2>")[2].partition("</section>")[0]


@pytest.fixture(scope="module")
def usual() -> Evaluation:
    return evaluation(night("a", right=0.9), night("b", right=0.7), night("c", right=0.5))


@pytest.fixture(scope="module")
def usual_page(usual, tmp_path_factory) -> str:
    return page_of(usual, tmp_path_factory.mktemp("usual"))


def test_every_section_is_there_in_this_order(usual_page):
    assert tuple(re.findall("<h2>(.*?)</h2>", usual_page)) == SECTIONS


def test_the_page_fetches_nothing_and_figures_have_titles(usual_page):
    assert not re.search(r"https?:|src=|<script|<link|@import|<iframe", usual_page)
    figures = 1 + 1 + 2 + 1 + 4
    assert usual_page.count("<svg") == usual_page.count("<title>") - 1 == figures
    assert usual_page.count("<figcaption>") == figures
    assert not re.search(r"<th(?! scope=)[ >]", usual_page)


def test_scores_stand_beside_the_baseline_with_intervals_and_by_subject(usual, usual_page):
    said = section_of(usual_page, "Scores")
    assert f"<bdi>{usual.scores.pooled.kappa:.3f}</bdi> <small>" in said
    assert all(f"F1 of {stage}" in said for stage in SLEEP_STAGES)
    assert [said.count(f'<th scope="row"><bdi>{name}</bdi>') for name in "abc"] == [1, 1, 1]
    assert "The baseline is ahead of the network on none of the 8 scores" in said


def test_the_page_says_where_the_baseline_is_ahead(tmp_path):
    made = evaluation(night("a", right=0.3), baseline=[night("a", right=1.0)])
    said = words_of(page_of(made, tmp_path))
    assert "The baseline is ahead of the network on 8 of the 8 scores" in said


def test_the_confusion_matrix_has_counts_and_shares_of_rows(usual, usual_page):
    drawn = section_of(usual_page, "Which stages are confused")
    confusion = usual.scores.pooled.confusion
    assert f">{confusion[2, 2]}</text>" in drawn
    assert f">{100 * confusion[2, 2] / confusion[2].sum():.0f} %</text>" in drawn
    assert "The most common error:" in drawn


def test_the_night_in_the_middle_is_shown(usual, usual_page):
    nights = staged_nights(usual.predictions, usual.truth)
    assert choose_night(nights).name == "b"
    assert choose_night(nights[:2]).name == "b"
    assert "b: kappa" in section_of(usual_page, "One night")


def test_of_nights_without_kappa_the_first_known_one_is_shown():
    flat = StagedNight.of(*night("flat", stages=("N2",) * 9, right=1.0))
    unknown = StagedNight.of(*night("unknown", stages=("",) * 9))
    assert choose_night([unknown, flat]).name == "flat"
    assert choose_night([unknown]) is None


def test_unscored_and_invalid_epochs_are_known_of_nobody_and_blank():
    made = StagedNight.of(*without(night(stages=("",) * 5 + CYCLE), slice(80, None)))
    assert made.known.sum() == 75
    assert not made.differs[:5].any()
    assert np.isnan(made.scored[:5]).all()
    assert "nan" not in night_figure(made).lower()


def test_transitions_of_scorer_and_network_stand_side_by_side(usual_page):
    said = words_of(section_of(usual_page, "How stages follow one another"))
    assert "Scorer: 15 changes of stage in 237 pairs of epochs." in said
    assert re.search(r"Network: \d{2,3} changes of stage in 237 pairs of epochs", said)


def test_calibration_has_its_error_and_brier_score(usual_page):
    said = section_of(usual_page, "What the probabilities are worth")
    assert re.search(r"\(ECE\) 0\.\d{3}", said)
    assert re.search(r"Brier score 0\.\d{3}", said)


def test_a_review_raises_kappa_as_expected_and_as_reached(usual_page):
    rows = re.findall("<tr>(.*?)</tr>", section_of(usual_page, "What to review"))[1:]
    cells = [re.findall("<bdi>(.*?)</bdi>", row) for row in rows]
    assert [row[0] for row in cells] == ["nothing", "5 %", "10 %", "20 %"]
    assert [row[1] for row in cells] == ["0", "12", "24", "48"]
    for column in (3, 4):
        kappas = [float(row[column]) for row in cells]
        assert kappas == sorted(kappas)


def test_every_statistic_has_its_definition_beside_it(usual_page):
    said = unescape(section_of(usual_page, "Sleep statistics of each night"))
    for name, statistic in STATISTICS.items():
        unit = f" ({statistic.unit})" if statistic.unit else ""
        assert said.count(f"<bdi>{name}{unit}</bdi> <small>{statistic.definition}</small>") == 3
    assert said.count("<details>") == 3
    assert re.search(r"<summary>a: TST \d+\.\d min \(scorer 35\.0\)", said)


def test_one_subject_is_said_to_be_one():
    assert evaluation(night()).scores.headline().endswith("epochs of 1 new subject.")
    assert evaluation(night(), night("b")).scores.headline().endswith("epochs of 2 new subjects.")


def test_one_night_is_not_folded_and_has_no_intervals_or_differences(tmp_path):
    page = page_of(evaluation(night()), tmp_path)
    assert "<details>" not in section_of(page, "Sleep statistics of each night")
    assert "There are no intervals: no night of a training part was tested" in page
    assert "Not drawn: 1 night, at least 3 are needed." in page


def test_intervals_of_few_nights_are_as_drawn_and_said_to_be_so(usual_page):
    said = section_of(usual_page, "Sleep statistics of each night")
    assert "none is widened, as nights of fewer than 9 others are known" in said
    assert said.count("90 % interval, as drawn</th>") == 3


def test_intervals_are_widened_by_nights_of_other_persons(tmp_path):
    made = evaluation(*(night(f"{i:02d}", right=0.4 + 0.05 * i) for i in range(10)))
    first = measure_nights(made)[0]
    assert first.widened["TST"].low <= first.network["TST"].low
    page = page_of(made, tmp_path)
    assert re.search(r"intervals as drawn, and inside \d+ % of those widened\.", page)
    assert "90 % interval</th>" in page


def test_scorer_and_network_are_measured_on_the_same_epochs():
    gap = without(night(right=1.0), slice(0, 16))
    (measured,) = measure_nights(evaluation(gap))
    assert measured.scorer["unscored"] == measured.network["unscored"].value == 8.0
    assert measured.scorer["TST"] == measured.network["TST"].value == 32.0


def test_bland_altman_plots_say_bias_and_limits(usual_page):
    said = section_of(usual_page, "Agreement over nights")
    for name in ("TST", "WASO", "SE", "REM"):
        assert re.search(rf"{name}: bias [+−]\d+\.\d (min|%) \(95 % interval", said)


def test_nights_of_the_same_persons_are_counted_as_such(tmp_path):
    made = [night(who, name=f"{who}{n}", seed=n) for who in "abc" for n in range(3)]
    said = section_of(page_of(evaluation(*made), tmp_path), "Agreement over nights")
    assert "; 9 nights of 3 persons." in said


def test_nights_of_one_person_have_no_interval_of_the_bias(tmp_path):
    made = [night("a", name=f"a{n}", seed=n) for n in range(3)]
    said = section_of(page_of(evaluation(*made), tmp_path), "Agreement over nights")
    assert "nan" not in said
    assert "; 3 nights of 1 person." in said


def test_many_nights_of_few_persons_do_not_widen(tmp_path):
    made = evaluation(*(night(who, name=f"{who}{n}", seed=n) for who in "abc" for n in range(5)))
    assert np.isnan(measure_nights(made)[0].widened["TST"].low)


def test_hostile_names_are_escaped_everywhere(tmp_path):
    one = night(HOSTILE, name=HOSTILE)
    page = page_of(evaluation(one, night("b"), night("c")), tmp_path)
    assert "<script" not in page
    assert page.count("&lt;script src=") >= 6


def test_nights_without_rem_have_dashes_and_no_nan(tmp_path):
    nights = [night(name, stages=WITHOUT_REM, right=1.0) for name in "abc"]
    page = page_of(evaluation(*nights), tmp_path)
    assert not re.search(r"\bnan\b", page.lower())
    assert "<bdi>–</bdi>" in section_of(page, "Sleep statistics of each night")
    assert ">–</text>" in section_of(page, "Which stages are confused")


def test_nothing_known_is_said_and_does_not_raise(tmp_path):
    silent = [without(night(name), slice(None)) for name in "abc"]
    page = page_of(evaluation(*silent), tmp_path)
    assert page.count("not one epoch is known of both scorer and network") == 5
    assert not re.search(r"\bnan\b", page.lower())
    assert "TST: known of only 0 nights." in page


def test_a_recording_shorter_than_an_epoch_is_left_out(tmp_path):
    short = night("short", stages=())
    page = page_of(evaluation(short, night("a")), tmp_path)
    assert "a: kappa" in section_of(page, "One night")
    assert tuple(re.findall("<h2>(.*?)</h2>", page)) == SECTIONS


def test_the_signal_stands_above_the_night_where_it_is_at_hand(tmp_path):
    made = evaluation(night())
    signal = np.random.default_rng(0).normal(0, 20, (int(len(CYCLE) * EPOCH * 100), 1))
    recording = Recording.from_array(signal, 100.0, ("EEG Fpz-Cz",), name="a", subject="a")
    with_signal = page_of(replace(made, recordings=[recording]), tmp_path)
    assert "the power of EEG Fpz-Cz as the network sees it" in with_signal
    assert "the power of" not in page_of(made, tmp_path)
