"""What the trials behind a figure say, in sentences: `rk.conclude("fig1", frame)`.

All sentences are written from the tables and verdicts of the given trials, so they cannot disagree
with the figure above them. They keep what the paper says apart from what we saw. The facts of a
figure come from a function of its exhibit; this module holds what all figures share.
"""

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import (
    exhibit,
    exhibits,
    points,
    shared_tables,
    shown_by,
    trials_of_exhibit,
)
from rnnkit.exhibits.budget import Budget, budget
from rnnkit.exhibits.captions import scale_and_seed
from rnnkit.exhibits.finding import FAILS, HOLDS
from rnnkit.exhibits.gradients import gradient_facts
from rnnkit.exhibits.verdicts import advice, compare, tally
from rnnkit.names import resolve_name
from rnnkit.wording import and_list

IT_HOLDS, IT_FAILS = "It holds here", "It fails here"  # what is said of a verdict
WIDTH = 110  # characters of a line of plain text
TITLES = {
    "gradients": "Gradients of untrained cells",
    "claims": "All claims",
    "advice": "The paper's advice",
}


@dataclass(frozen=True)
class Claimed:
    """One claim in sentences: what the paper says, what we saw, and what follows from it."""

    id: str
    who: str  # says it: the paper, or a claim of ours beside the paper's
    paper: str
    ours: str
    verdict: str  # in a word or two, set in bold
    why: str


@dataclass(frozen=True)
class Conclusion:
    """One figure in sentences: the trials behind it, the facts of its table, and its claims."""

    title: str
    trials: str
    facts: tuple[str, ...]
    claims: tuple[Claimed, ...]

    @property
    def verdicts(self) -> str:
        """Which claims got which verdict, as a sentence; empty if the figure decides none."""
        names = {}
        for claim in self.claims:
            names.setdefault(claim.verdict.removesuffix("."), []).append(claim.id)
        first = [verdict for verdict in (IT_HOLDS, IT_FAILS) if verdict in names]
        phrases = [
            f"{_short(verdict)}: {and_list(names[verdict])}"
            for verdict in (*first, *names)
            if verdict in names
        ]
        return f"Claims, by verdict: {'; '.join(dict.fromkeys(phrases))}." if phrases else ""


class Conclusions:
    """What trials say: a `Conclusion` for each figure. A notebook shows them as HTML, and `print` as
    plain text.
    """

    def __init__(self, parts: Iterable[Conclusion]) -> None:
        self.parts = tuple(parts)

    def __str__(self) -> str:
        return "\n\n".join(_plain(conclusion) for conclusion in self.parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "\n".join(_html(conclusion) for conclusion in self.parts)


def conclude(names: str | Sequence[str], trials: pd.DataFrame) -> Conclusions:
    """What `trials` say of the figure `names`, or of several figures drawn from the same trials,
    given as a list or tuple.

    A figure takes a frame of trials as `run` gives it. "claims" and "advice" take a table of claims
    as `verdicts` gives it, and "gradients" the frame of `flow.at_random`. ValueError for an unknown
    name, or a frame without its trials.
    """
    names = [names] if isinstance(names, str) else list(names)
    names = [
        resolve_name("A conclusion's figure", name, (*exhibits(), *OF_TABLES, *shown_by()))
        for name in names
    ]
    with shared_tables():
        return Conclusions(
            (
                _of_table(name, trials)
                if name in OF_TABLES
                else _of_figure(shown_by().get(name, name), trials)
            )
            for name in names
        )


def _of_table(name: str, table: pd.DataFrame) -> Conclusion:
    return Conclusion(TITLES[name], "", tuple(OF_TABLES[name](table)), ())


def _of_figure(name: str, frame: pd.DataFrame) -> Conclusion:
    about = exhibit(name)
    trials = trials_of_exhibit(name, frame)
    spent = budget(trials)
    claims = compare(name, frame) if about.claims else pd.DataFrame()
    facts = about.facts(trials, points(name, frame))
    return Conclusion(
        about.title,
        _behind(spent),
        tuple(facts),
        tuple(_claim(claim, spent) for claim in claims.itertuples()),
    )


def _behind(spent: Budget) -> str:
    """The trials that stand behind a figure, as a sentence."""
    divergence = (
        f"{spent.infeasible:,} of the {spent.trials:,} diverged"
        if spent.infeasible
        else "none of them diverged"
    )
    trials = f"{spent.trials:,} trials" if spent.trials != 1 else "one trial"
    n_trials = (
        f"{spent.least:,}" if spent.least == spent.most else f"{spent.least:,} to {spent.most:,}"
    )
    studies = (
        f"{spent.studies:,} studies of {n_trials} trials each"
        if spent.studies != 1
        else "one study"
    )
    steps = (
        f"{spent.steps[0]:,}"
        if spent.steps[0] == spent.steps[1]
        else f"between {spent.steps[0]:,} and {spent.steps[1]:,}"
    )
    return (
        f"Behind it are {trials} in {studies}, trained for {steps} steps ({scale_and_seed(spent)});"
        f" {divergence}."
    )


def _claim(claim: Any, spent: Budget) -> Claimed:
    """A row of `verdicts.compare`, in sentences."""
    about = paper.CLAIMS[claim.id]
    where = (
        about.where if about.where.startswith(("App", "Fig", "Table")) else f"section {about.where}"
    )
    says = f"{claim.claim} ({where}). Measured: {about.statistic}; in the paper: {claim.paper}."
    who = "Ours, beside the paper's" if claim.id.endswith("b") else "The paper says"
    return Claimed(claim.id, who, says, _number_sentence(claim), *_verdict(claim, about, spent))


def _number_sentence(claim: Any) -> str:
    if not math.isfinite(claim.ours):
        return "these trials give no number for it."
    if not (math.isfinite(claim.low) and math.isfinite(claim.high)):
        return f"{claim.ours:.3g}, without an interval."
    return f"{claim.ours:.3g}, between {claim.low:.3g} and {claim.high:.3g}."


def _verdict(claim: Any, about: paper.Claim, spent: Budget) -> tuple[str, str]:
    """The verdict as a sentence, and the reason for it: the evidence without what has been said before."""
    statistic = about.statistic[0].upper() + about.statistic[1:]
    why = claim.evidence.removeprefix(f"{statistic}: ").removesuffix(".").removesuffix(f"; {spent}")
    verdict = {HOLDS: IT_HOLDS, FAILS: IT_FAILS}.get(claim.verdict)
    return (
        (_stop(verdict), _stop(_capital(why)))
        if verdict
        else (_stop(_capital(claim.verdict)), f"Why: {_stop(why)}")
    )


def _short(verdict: str) -> str:
    return {IT_HOLDS: "hold", IT_FAILS: "fail"}.get(verdict, verdict[0].lower() + verdict[1:])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _stop(text: str) -> str:
    """The text, with a full stop if it does not end in one."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _plain(conclusion: Conclusion) -> str:
    lines = [f"{conclusion.title}. {conclusion.trials}".strip()]
    lines += [f"- {fact}" for fact in (*conclusion.facts, conclusion.verdicts) if fact]
    for claim in conclusion.claims:
        lines += [
            f"{claim.id}. {claim.who}: {claim.paper}",
            f"    We saw: {claim.ours}",
            f"    {claim.verdict} {claim.why}".rstrip(),
        ]
    return "\n".join(_wrap(line) for line in lines)


def _wrap(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(
        line.strip(),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def _html(conclusion: Conclusion) -> str:
    blocks = [
        f"<p><b>What these trials say: {_escape(conclusion.title)}.</b> {_escape(conclusion.trials)}</p>"
    ]
    facts = [fact for fact in (*conclusion.facts, conclusion.verdicts) if fact]
    blocks.append("<ul>" + "".join(f"<li>{_escape(fact)}</li>" for fact in facts) + "</ul>")
    if conclusion.claims:  # folded, since the table of claims stands beside it in the notebooks
        fold = f"What the paper says and what we saw, claim by claim ({len(conclusion.claims)})"
        blocks.append(
            f"<details><summary>{fold}</summary><dl>{''.join(map(_claim_html, conclusion.claims))}</dl></details>"
        )
    return f'<div class="rnnkit-conclusion">{"".join(blocks)}</div>'


def _claim_html(claim: Claimed) -> str:
    head = (
        f"<dt><b>{_escape(claim.id)}</b> <i>{_escape(claim.who)}:</i> {_escape(claim.paper)}</dt>"
    )
    return (
        head + f"<dd><i>We saw:</i> {_escape(claim.ours)} <b>{_escape(claim.verdict)}</b>"
        f" {_escape(claim.why)}</dd>"
    )


def _escape(text: str) -> str:
    """Text for HTML. Each dollar sign gets an element of its own, since a notebook would take what
    stands between two of them for a formula.
    """
    return html.escape(text).replace("$", "<span>$</span>")


def claims_facts(table: pd.DataFrame) -> list[str]:
    """Out of `verdicts`: what holds, what fails, and what is open."""
    sentences = [f"Claims of the paper: {tally(table)}."]
    for verdict in (HOLDS, FAILS):
        subset = table[table.verdict == verdict].drop_duplicates("id")
        claims = "; ".join(f"{row.claim} ({row.id})" for row in subset.itertuples())
        sentences.append(f"What {verdict} here: {claims or 'nothing'}.")
    return sentences


def advice_facts(table: pd.DataFrame) -> list[str]:
    """Out of `verdicts`: each piece of section 5's advice, with the verdicts on the claims behind it."""
    sentences = []
    for text, group in advice(table).groupby("advice", sort=False):
        verdicts = and_list(
            f"{row.id} {_verdict_phrase(row.verdict)}" for row in group.itertuples()
        )
        decisions = set(group.verdict) & {HOLDS, FAILS}
        sums = {
            HOLDS: "nothing here speaks against it",
            FAILS: "our trials speak against it",
        }
        word = (
            "our trials are divided"
            if len(decisions) == 2
            else sums[decisions.pop()]
            if decisions
            else "our trials do not decide it"
        )
        sentences.append(f'"{text}": {word} ({verdicts}).')
    return sentences


def _verdict_phrase(verdict: str) -> str:
    return (
        verdict
        if verdict in (HOLDS, FAILS)
        else f"is {verdict}"
        if verdict.startswith("not ")
        else f"has {verdict}"
    )


OF_TABLES = {"gradients": gradient_facts, "claims": claims_facts, "advice": advice_facts}
