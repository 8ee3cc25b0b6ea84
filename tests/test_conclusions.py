"""What the kit says of trials in words agrees with their tables and verdicts, tells the paper's
words from ours, and is safe to show.
"""

import math
import re

import numpy as np
import pandas as pd
import pytest
import synthetic
import synthetic_hard

import rnnkit as rk
from rnnkit import analysis, paper
from rnnkit.exhibits.base import exhibit, exhibits, shown_by
from rnnkit.exhibits.conclusions import OF_TABLES, Conclusions, conclude
from rnnkit.wording import and_list

SHAPES = ("smoke", "quick")


def frames(shape):
    """Figure -> trials for it, as an experiment at a scale would give them."""
    capacity = synthetic.frames(shape)
    hard = synthetic_hard.frames(shape)
    trials = 3 if shape == "smoke" else 24
    memory = synthetic.memory(depths=(1,), units=(48, 64, 72), trials=trials)
    both = pd.concat(
        [
            synthetic.frame((300,), (1,), trials, ("rnn",), seed=seed).assign(
                tuner=tuner, study=f"s/{tuner}/seed={seed}"
            )
            for seed in (0, 1)
            for tuner in ("gp", "random")
        ],
        ignore_index=True,
    )
    several = pd.concat(
        [
            synthetic.frame((300,), (1,), trials, ("rnn",), seed=n).assign(
                n_in=n, study=f"in={n}", n_units=9
            )
            for n in (20, 50)
        ]
    )
    rounded = capacity["fig1"].assign(kept=None)
    kept = {
        "whole": [100.0],
        "range": [10.0, 20.0, 30.0, 40.0, 50.0, 99.5],
        "clipped": [20.0, 30.0, 40.0, 50.0, 80.0, 100.0],
    }
    rounded["kept"] = [kept if k == 0 else None for k in rounded.hyper_iter]
    again = capacity["fig1"][capacity["fig1"].architecture == "gru"]
    renamed = again.assign(
        architecture="mingru",
        study=again.study.str.replace("gru", "mingru"),
        eval_loss=3 * again.eval_loss,
    )
    later = pd.concat([capacity["fig1"], renamed], ignore_index=True)
    similar = synthetic.similar(depths=(1,), trials=trials)
    return (
        capacity
        | hard
        | {
            "best_so_far": capacity["fig1"],
            "importance": capacity["fig1"],
            "later_numbers": capacity["fig1"],
            "more_cells": later,
            "tuner": both,
            "inputs": several,
            "quantised": rounded,
            "fig2c": memory,
            "g01": memory,
            "fig3": similar,
            "lost": hard["fig5"],
        }
    )


@pytest.fixture(scope="module", params=SHAPES)
def shaped(request):
    return frames(request.param)


def unwrapped(conclusions) -> str:
    """The plain text without its line breaks."""
    return re.sub(r"\s+", " ", str(conclusions))


@pytest.mark.parametrize("name", exhibits())
def test_each_figure_is_told_in_whole_sentences_at_every_scale(shaped, name):
    (part,) = conclude(name, shaped[name]).parts
    assert 1 <= len(part.facts) <= 16
    for sentence in (
        part.trials,
        *part.facts,
        *(
            text
            for claim in part.claims
            for text in (claim.paper, claim.ours, claim.verdict, claim.why)
        ),
    ):
        assert sentence.endswith((".", "!", "?")) and "nan" not in sentence.split(), sentence


@pytest.mark.parametrize("name", exhibits())
def test_trials_that_all_diverged_are_told_too(name):
    frame = frames("smoke")[name]
    dead = frame.assign(
        infeasible=True, train_loss=math.nan, valid_loss=math.nan, eval_loss=math.nan
    )
    assert conclude(name, dead).parts[0].facts


def test_every_claim_is_reported_once_with_its_verdict(shaped):
    for name in ("fig1", "fig4", "calibration"):
        verdicts = analysis.compare(name, shaped[name])
        (part,) = conclude(name, shaped[name]).parts
        assert [claim.id for claim in part.claims] == verdicts.id.tolist()
        for claim, row in zip(part.claims, verdicts.itertuples()):
            said = {analysis.HOLDS: "It holds here.", analysis.FAILS: "It fails here."}.get(
                row.verdict, row.verdict.capitalize() + "."
            )
            assert claim.verdict == said
            assert claim.paper.startswith(row.claim) and claim.paper.endswith(
                f"in the paper: {row.paper}."
            )


def test_the_claims_are_gathered_by_verdict():
    frame = synthetic.frames("overnight")["fig1"]
    verdicts = analysis.compare("fig1", frame)
    said = conclude("fig1", frame).parts[0].verdicts
    for word, verdict in (
        ("hold", analysis.HOLDS),
        ("not tested at this scale", analysis.UNTESTED),
    ):
        ids = verdicts.id[verdicts.verdict == verdict].tolist()
        assert f"{word}: {and_list(ids)}" in said or not ids
    assert all(id in said for id in verdicts.id)
    assert conclude("best_so_far", frame).parts[0].verdicts == ""


def test_the_number_and_both_ends_of_its_interval_are_ours():
    frame = synthetic.frames("overnight")["fig1"]
    row = analysis.compare("fig1", frame).set_index("id").loc["C02"]
    claim = next(claim for claim in conclude("fig1", frame).parts[0].claims if claim.id == "C02")
    assert [float(x) for x in re.findall(r"[\d.]+\d", claim.ours)] == pytest.approx(
        [row.ours, row.low, row.high], rel=0.005
    )


def test_a_claim_that_is_not_decided_says_why():
    claims = {
        claim.id: claim
        for claim in conclude("fig1", synthetic.frames("smoke")["fig1"]).parts[0].claims
    }
    assert claims["C01"].verdict == "Not tested at this scale." and claims["C01"].why.startswith(
        "Why: "
    )


def test_the_best_network_is_the_one_with_most_bits_per_parameter():
    frame = synthetic.frames("quick")["fig1"]
    best = frame.loc[(-frame.eval_loss / frame.num_params).idxmax()]
    said = conclude("fig1", frame).parts[0].facts[0]
    layers = "1 layer" if best.n_layers == 1 else f"{best.n_layers} layers"
    assert (
        f"the {paper.LABELS[best.architecture]} with {layers} and {best.num_params:,} parameters"
        in said
    )
    assert f"{-best.eval_loss / best.num_params:.2f}" in said


def test_architectures_stand_in_the_order_of_their_bits():
    frame = synthetic.frames("overnight")["fig1"]
    said = " ".join(conclude("fig1", frame).parts[0].facts)
    sentence = re.search(r"With 1 layer and up to 10,000 parameters the order is (.*?) bits", said)[
        1
    ]
    numbers = [float(x) for x in re.findall(r"\d\.\d\d", sentence)]
    assert (
        len(numbers) == 5
        and numbers == sorted(numbers, reverse=True)
        and sentence.startswith("RNN")
    )


def test_the_search_says_how_far_it_had_come_halfway():
    rows = synthetic.frame((300,), (1,), 4, ("rnn",), infeasible=0)
    rows["eval_loss"] = rows["valid_loss"] = [-10.0, -50.0, -50.0, -100.0]
    first, second, *_ = conclude("best_so_far", rows).parts[0].facts
    assert "the search had found 50 %" in first
    assert second.startswith("It found its best network in the last quarter of its trials")


def test_the_best_trials_of_one_study_say_what_they_share():
    rows = synthetic.frame((300,), (1,), 6, ("rnn",), infeasible=0)
    rows["hparams"] = [
        h | {"optimizer": "adam", "nonlinearity": s, "lr_init": lr}
        for h, s, lr in zip(rows.hparams, ["tanh", "relu"] * 3, [0.01] * 6)
    ]
    said = conclude("start", rows).parts[0].facts[-1]
    assert (
        "agree on optimizer (adam)" in said
        and "differ in nonlinearity" in said
        and "0.01 to 0.01" in said
    )


def test_a_later_cell_that_stores_far_more_is_ahead_of_the_papers_six(shaped):
    assert (
        "the RNN, with half of a search already: minGRU. Behind"
        in conclude("more_cells", shaped["more_cells"]).parts[0].facts[0]
    )


def test_reruns_and_their_originals_are_compared():
    frame = synthetic_hard.frames("quick")["tableapp1"]
    table = analysis.rerun_table(analysis.rows_of("tableapp1", frame)).set_index("architecture")
    assert (
        f"GRU {table.mean_over_original['gru']:.3g}"
        in conclude("tableapp1", frame).parts[0].facts[0]
    )


def test_solved_tasks_are_counted():
    frame = synthetic_hard.frames("quick")["fig4"]
    cells = analysis.by_network(analysis.rows_of("fig4", frame))
    one = cells[(cells.n_layers == 1) & (cells.task_type == "parens_counting")]
    assert (
        f"Parentheses, 1 layer: {(one.solved > 0).sum()} of {len(one)} architectures"
        in unwrapped(conclude("fig4", frame))
    )


# --- what is not made of trials ---


def test_gradients_are_counted():
    frame = pd.DataFrame(
        {
            "architecture": ["rnn"] * 8,
            "draw": [0, 0, 1, 1, 2, 2, 3, 3],
            "back": [0, 50] * 4,
            "trace": 1.0,
            "gradient": [1, 1e-6, 1, 1e-9, 1, 0.5, 1, 1e6],
        }
    )
    said = unwrapped(conclude("gradients", frame))
    assert "4 draws: RNN 50." in said and "1000 times itself in this per cent: RNN 25." in said


def claims_table(**verdicts):
    rows = [
        (id, c.where, c.text, c.paper, 1.0, verdicts.get(id, analysis.UNTESTED), "fig1")
        for id, c in paper.CLAIMS.items()
    ]
    return pd.DataFrame(
        rows, columns=["id", "where", "claim", "paper", "ours", "verdict", "figure"]
    )


def test_all_claims_are_counted_and_those_that_are_decided_named():
    said = unwrapped(conclude("claims", claims_table(C04="holds", C15="fails")))
    assert (
        "of the 36 that can be decided 1 holds, 1 fails, 34 are not tested at this scale; not"
        " counted C05" in said
    )
    assert "Architectures differ only a little (C04)" in said and "without loss (C15)" in said


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        ({}, "our trials do not decide it"),
        ({"C15": "holds"}, "nothing here speaks against it"),
        ({"C15": "fails"}, "our trials speak against it"),
    ],
)
def test_a_piece_of_advice_is_as_good_as_the_claims_under_it(verdicts, word):
    facts = conclude("advice", claims_table(**verdicts)).parts[0].facts
    assert len(facts) == len(paper.ADVICE) and word in facts[-1]


def test_claims_that_contradict_each_other_divide_the_advice():
    facts = conclude("advice", claims_table(P01="holds", P03="fails")).parts[0].facts
    assert "our trials are divided (P01 holds and P03 fails)" in facts[1]


# --- how it is shown ---


def test_several_figures_are_told_one_after_another():
    frame = synthetic.frames("smoke")["fig1"]
    both = rk.conclude(("fig1", "best_so_far"), frame)
    assert isinstance(both, Conclusions)
    assert [part.title for part in both.parts] == ["Figure 1", "The search"]
    assert str(both).index("Figure 1") < str(both).index("The search")


def test_text_that_comes_from_trials_is_escaped():
    bad = "<script>alert(1)</script>$x$"
    frame = synthetic.frame((300,), (1,), 4, ("rnn",), infeasible=0).assign(
        architecture=bad, scale=bad
    )
    shown = (
        conclude("best_so_far", frame)._repr_html_()
        + conclude("fig2c", synthetic.memory(trials=2).assign(architecture=bad))._repr_html_()
    )
    assert "<script>" not in shown and "&lt;script&gt;" in shown
    assert "$x$" not in shown


def test_html_is_well_formed_and_says_what_the_plain_text_says():
    from xml.etree import ElementTree

    shown = conclude("fig4", synthetic_hard.frames("quick")["fig4"])
    tree = ElementTree.fromstring(shown._repr_html_())
    words = re.sub(r"\s+", " ", "".join(tree.itertext()))
    for fact in shown.parts[0].facts:
        assert fact in words and fact in unwrapped(shown).replace("- ", "- ")
    assert words.count("The paper says:") == words.count("We saw:") == len(exhibit("fig4").claims)


def test_plain_text_keeps_to_a_width():
    assert (
        max(map(len, str(conclude("fig1", synthetic.frames("quick")["fig1"])).splitlines())) <= 112
    )


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="one of fig1, .*got 'fig9'"):
        rk.conclude("fig9", synthetic.frames("smoke")["fig1"])
    assert not set(OF_TABLES) & {*exhibits(), *shown_by()}


def test_a_frame_without_its_trials_is_refused():
    with pytest.raises(ValueError, match="fig4 needs trials"):
        rk.conclude("fig4", synthetic.frames("smoke")["fig1"])


def test_the_same_trials_give_the_same_words():
    frame = synthetic.frames("quick")["fig1"]
    again = frame.sample(frac=1, random_state=np.random.RandomState(0)).sort_values(
        ["study", "hyper_iter"]
    )
    assert str(conclude("fig1", frame)) == str(conclude("fig1", again))
