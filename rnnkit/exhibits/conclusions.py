"""What the trials behind a figure say, in sentences: `rk.conclude("fig1", frame)`.

All sentences are written from the tables and verdicts of the given trials, so they cannot disagree
with the figure above them. They keep what the paper says apart from what we saw. The facts of a
figure come from a function of its exhibit; this module holds what all figures share.
"""

import html
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import (
    exhibits,
    shared_tables,
    shown_by,
    tables_of,
)
from rnnkit.exhibits.budget import Budget, budget
from rnnkit.exhibits.captions import scale_and_seed
from rnnkit.exhibits.finding import FAILS, HOLDS, Finding
from rnnkit.exhibits.gradients import gradient_facts
from rnnkit.exhibits.verdicts import advice, findings, tally
from rnnkit.names import resolve_name
from rnnkit.wording import and_list, capital

NOTHING_TO_SEE = "No trial was feasible, so there is nothing to see."
SPEAK = {  # the verdicts on the claims behind a piece of advice, of those that decide -> their sum
    frozenset(): "our trials do not decide it",
    frozenset([HOLDS]): "nothing here speaks against it",
    frozenset([FAILS]): "our trials speak against it",
    frozenset([HOLDS, FAILS]): "our trials are divided",
}
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
    claims: tuple[Claimed, ...] = ()
    verdicts: str = ""  # which claims got which, as a sentence

    @property
    def sentences(self) -> list[str]:
        """The facts, and after them the verdicts in short."""
        return [sentence for sentence in (*self.facts, self.verdicts) if sentence]


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
    choices = (*exhibits(), *OF_TABLES, *shown_by())
    names = [
        resolve_name("A conclusion's figure", name, choices)
        for name in ([names] if isinstance(names, str) else names)
    ]
    with shared_tables():
        return Conclusions(
            Conclusion(TITLES[name], "", tuple(OF_TABLES[name](trials)))
            if name in OF_TABLES
            else _of_figure(shown_by().get(name, name), trials)
            for name in names
        )


def _of_figure(name: str, frame: pd.DataFrame) -> Conclusion:
    tables = tables_of(name, frame)
    about = tables.exhibit
    verdicts = findings(tables)
    return Conclusion(
        about.title,
        _behind(budget(tables.trials)),
        tuple(about.facts(tables.trials, tables.csv_tables())) or (NOTHING_TO_SEE,),
        tuple(_claim(id, finding) for id, finding in verdicts.items()),
        _by_verdict(verdicts),
    )


def _by_verdict(verdicts: Mapping[str, Finding]) -> str:
    """Which claims got which verdict, as a sentence; empty if the figure decides none."""
    ids: dict[str, list[str]] = {HOLDS: [], FAILS: []}
    for id, finding in verdicts.items():
        ids.setdefault(finding.verdict, []).append(id)
    verbs = {HOLDS: "hold", FAILS: "fail"}
    phrases = [
        f"{verbs.get(verdict, verdict)}: {and_list(members)}"
        for verdict, members in ids.items()
        if members
    ]
    return f"Claims, by verdict: {'; '.join(phrases)}." if phrases else ""


def _behind(spent: Budget) -> str:
    """The trials that stand behind a figure, as a sentence."""
    divergence = (
        f"{spent.infeasible:,} of the {spent.trials:,} diverged"
        if spent.infeasible
        else "none of them diverged"
    )
    trials = f"{spent.trials:,} trials" if spent.trials != 1 else "one trial"
    length = _from_to(spent.least, spent.most, "{:,} to {:,}")
    studies = f"{spent.studies:,} studies of {length} trials each"
    return (
        f"Behind it are {trials} in {studies if spent.studies != 1 else 'one study'}, trained for"
        f" {_from_to(*spent.steps, 'between {:,} and {:,}')} steps ({scale_and_seed(spent)});"
        f" {divergence}."
    )


def _from_to(low: int, high: int, template: str) -> str:
    return f"{low:,}" if low == high else template.format(low, high)


def _claim(id: str, finding: Finding) -> Claimed:
    """A claim and what was found of it, in sentences."""
    about = paper.CLAIMS[id]
    where = (
        about.where if about.where.startswith(("App", "Fig", "Table")) else f"section {about.where}"
    )
    says = f"{about.text} ({where}). Measured: {about.statistic}; in the paper: {about.paper}."
    who = "Ours, beside the paper's" if id.endswith("b") else "The paper says"
    reason = finding.reason.removesuffix(".")
    decision = {HOLDS: "It holds here", FAILS: "It fails here"}.get(finding.verdict)
    verdict = f"{decision or capital(finding.verdict)}."
    why = f"{capital(reason) if decision else f'Why: {reason}'}."
    return Claimed(id, who, says, _number_sentence(finding), verdict, why)


def _number_sentence(finding: Finding) -> str:
    if not math.isfinite(finding.ours):
        return "these trials give no number for it."
    if not (math.isfinite(finding.low) and math.isfinite(finding.high)):
        return f"{finding.ours:.3g}, without an interval."
    return f"{finding.ours:.3g}, between {finding.low:.3g} and {finding.high:.3g}."


def _plain(conclusion: Conclusion) -> str:
    paragraphs = [f"{conclusion.title}. {conclusion.trials}".strip()]
    paragraphs += [f"- {sentence}" for sentence in conclusion.sentences]
    for claim in conclusion.claims:
        paragraphs += [
            f"{claim.id}. {claim.who}: {claim.paper}",
            f"    We saw: {claim.ours}",
            f"    {claim.verdict} {claim.why}".rstrip(),
        ]
    return "\n".join(map(_wrap, paragraphs))


def _wrap(paragraph: str) -> str:
    text = paragraph.lstrip()
    indent = paragraph.removesuffix(text)
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def _html(conclusion: Conclusion) -> str:
    head = (
        f"<b>What these trials say: {_escape(conclusion.title)}.</b> {_escape(conclusion.trials)}"
    )
    facts = "".join(f"<li>{_escape(sentence)}</li>" for sentence in conclusion.sentences)
    claims = ""
    if conclusion.claims:  # folded, since the table of claims stands beside it in the notebooks
        fold = f"What the paper says and what we saw, claim by claim ({len(conclusion.claims)})"
        body = "".join(map(_claim_html, conclusion.claims))
        claims = f"<details><summary>{fold}</summary><dl>{body}</dl></details>"
    return f'<div class="rnnkit-conclusion"><p>{head}</p><ul>{facts}</ul>{claims}</div>'


def _claim_html(claim: Claimed) -> str:
    id, who, paper, ours, verdict, why = map(_escape, astuple(claim))
    return (
        f"<dt><b>{id}</b> <i>{who}:</i> {paper}</dt>"
        f"<dd><i>We saw:</i> {ours} <b>{verdict}</b> {why}</dd>"
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
        decisions = frozenset(group.verdict) & {HOLDS, FAILS}
        sentences.append(f'"{text}": {SPEAK[decisions]} ({verdicts}).')
    return sentences


def _verdict_phrase(verdict: str) -> str:
    if verdict in (HOLDS, FAILS):
        return verdict
    return f"is {verdict}" if verdict.startswith("not ") else f"has {verdict}"


OF_TABLES = {"gradients": gradient_facts, "claims": claims_facts, "advice": advice_facts}
