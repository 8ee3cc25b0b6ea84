"""The discussion's figures: what rounding leaves, bits per parameter beside later work, and the
audit.
"""

import numpy as np
import pandas as pd
import pytest
import synthetic

from rnnkit import analysis, figures, paper
from rnnkit.exhibits.finding import FAILS, HOLDS, UNTESTED
from rnnkit.exhibits.section_5 import kept_bits, needed_bits


def rounded(needs=9, trials=32, **settings):
    """Trials whose best of each study keeps half of its bits below `needs` bits a weight, nearly
    all from there on.
    """
    frame = synthetic.frame((300,), (1, 2), trials=trials, **settings)
    kept = [None] * len(frame)
    for place in frame.groupby("study").valid_loss.idxmin():
        whole = -frame.valid_loss[place]
        curve = [whole * (0.5 if k < needs else 0.992) for k in range(1, 17)]
        kept[place] = {"whole": [whole], "range": curve, "clipped": [whole * 0.4, *curve[1:]]}
    return frame.assign(kept=kept)


def verdict(frame):
    return analysis.compare("quantised", frame).iloc[0]


def test_bits_needed_are_the_first_from_which_99_per_cent_are_left():
    table = needed_bits(rounded(needs=9))
    assert (
        set(table.needed) == {9} and len(table) == 2 * 11
    )  # two ways of 11 networks: +RNN has no depth 1


def test_a_curve_that_falls_again_needs_the_bits_after_its_last_fall():
    frame = rounded(needs=3)
    place = frame.kept.first_valid_index()
    frame.kept[place]["range"][11] *= 0.9  # 12 bits lose again
    table = needed_bits(frame.loc[[place]]).set_index("way").needed
    assert table["range"] == 13 and table["clipped"] == 3


def test_what_even_16_bits_lose_needs_no_number_of_bits():
    frame = rounded(needs=17)
    assert needed_bits(frame).needed.isna().all() and verdict(frame).verdict == FAILS
    assert "no bits" in figures.quantised(frame).axes[2].texts[-1].get_text()


def test_a_network_that_stored_nothing_is_left_out():
    frame = rounded()
    place = frame.kept.first_valid_index()
    frame.kept[place]["whole"][0] = 0.0
    assert frame.study[place] not in set(kept_bits(frame).study)


@pytest.mark.parametrize("needs, expected", [(9, FAILS), (5, HOLDS), (4, HOLDS)])
def test_the_five_bit_test_is_decided_by_the_bits_needed(needs, expected):
    row = verdict(rounded(needs))
    assert row.id == "C15" and row.ours == needs and row.verdict == expected
    assert f"at 5 bits {50 if needs > 5 else 99} % is left" in row.evidence


def test_a_short_search_does_not_decide_the_five_bit_test():
    assert verdict(rounded(trials=5)).verdict == UNTESTED


def test_the_figure_needs_trials_whose_weights_were_rounded():
    with pytest.raises(ValueError, match="weights were rounded"):
        figures.quantised(synthetic.frame((300,), (1,)))


def test_rounded_weights_are_drawn_for_each_way_and_network():
    frame = rounded()
    figure = figures.quantised(frame)
    for ax in figure.axes[:2]:
        curves = [line for line in ax.lines if len(line.get_xdata()) == 16]
        assert len(curves) == 11 + 6  # networks, and the mean of each architecture
    needed = [line.get_ydata()[0] for line in figure.axes[2].lines if len(line.get_ydata()) == 1]
    np.testing.assert_allclose(needed, 9, atol=0.3)  # architectures stand a little apart
    assert len(needed) == 11


def test_captions_and_alternative_texts_are_made():
    frame = rounded()
    for name in ("quantised", "later_numbers"):
        assert "not in the paper" in figures.caption(name, frame) and figures.alt(
            name, frame
        ).endswith(".")
    assert "RNN 9.0" in figures.alt("quantised", frame)


def test_later_work_stands_beside_ours():
    frame = synthetic.frame((300, 1_000), (1, 2)).assign(train_loss=lambda f: f.train_loss)
    table = figures.points("later_numbers", frame)["later_numbers"]
    theirs = table[table.architecture == ""]
    # notes on the literature: Cover, Allen-Zhu, Morris, Bartol, the paper
    assert sorted(theirs.bits) == [2.0, 2.0, 3.6, 4.7, 5.0]
    best = (
        analysis.stored_bits(frame)
        .query("architecture == 'gru' and max_params == 1000")
        .bits_per_param
    )
    ours = table[(table.architecture == "gru") & (table.counted == "hard")].iloc[0]
    assert (ours.bits, ours.low, ours.high) == (pytest.approx(best.mean()), best.min(), best.max())
    assert len(figures.later_numbers(frame).axes[0].get_yticklabels()) == len(theirs) + 6


def test_the_audit_is_drawn_of_the_papers_numbers_alone():
    figure = figures.audit()
    assert "GRU/LSTM 1750" in figure.caption and "+RNN 43.3 %" in figure.alt
    red = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "X"]
    assert red == [1750, 426]
    assert [len(ax.lines) > 0 or len(ax.patches) == 6 for ax in figure.axes] == [True] * 4


def test_the_gallery_ends_with_the_audit(tmp_path):
    page = figures.gallery(tmp_path, {"calibration": synthetic.linear()}).read_text()
    assert page.rindex("## ") == page.index("## The paper's tables, read closely")
    assert pd.read_csv(tmp_path / "audit_runs.csv").table_1.tolist() == [
        912,
        968,
        554,
        960,
        813,
        885,
    ]
    assert (tmp_path / "audit.png").is_file() and (tmp_path / "audit.svg").is_file()


def test_a_networks_range_is_no_wider_than_its_depths():
    table = figures.points("later_numbers", synthetic.frame((300,), (1, 2)))["later_numbers"]
    plus = table[(table.architecture == "+rnn") & (table.counted == "hard")].iloc[0]
    assert plus.low == plus.bits == plus.high and not np.isnan(plus.bits)  # one depth
    assert set(paper.ARCHITECTURES) == set(table.architecture) - {""}
