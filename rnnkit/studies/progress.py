"""How far a run is: one line that updates itself, in a terminal, in a notebook, or (more rarely) in
a log file.
"""

import math
import sys
import time

from rnnkit.studies.pace import Pace, Work, work_of
from rnnkit.wording import duration

ENOUGH, LONG = 0.03, 60.0  # share of the work, or seconds, before the time left is judged
SLOW = 0.05  # of the time since the start: how long a judgement takes to be half forgotten, or so


class Progress:
    """Studies and trials done, and the time left, judged from the trials that have ended.

    `jobs` holds (study, trials it shall have, trials it has). `label` goes before the line; `quiet`
    shows nothing. `known` holds the paces of studies that were trained elsewhere, as `Pace` takes
    them.
    """

    def __init__(self, jobs, label="", quiet=False, known=()):
        self.label, self.quiet = label, quiet
        self.wanted, self.done, self.steps = {}, {}, {}
        self.works: dict[str, Work] = {}
        self.pace, self.spent, self.to_do = Pace(known), 0.0, None  # seconds that trials took, take
        for job in jobs:
            self.add(*job)
        self.start, self.shown, self.length = time.monotonic(), -1e9, 0
        self.left, self.judged = None, self.start  # seconds left, as they were judged last and when
        self.ended = self.start  # when the last trial did
        self._show, self.pause = (_nowhere, 1e9) if quiet else self._screen()

    def show(self, line, last):
        """Shows a line, the last of its kind or not. What cannot be shown, in a closed or a lost
        terminal, is no reason to stop.
        """
        try:
            self._show(line, last)
        except (
            OSError,
            ValueError,
            RuntimeError,
        ):  # ValueError: a closed file, or letters that it does not know
            self._show, self.pause = _nowhere, 1e9

    def add(self, study, wanted, had):
        """One more study, which shall have `wanted` trials and has `had`."""
        key = study.key
        self.wanted[key], self.done[key], self.steps[key] = wanted, had, study.mean_steps
        self.works[key], self.to_do = work_of(study), None

    def trial(self, trial):
        """One more trial has ended."""
        key, now = trial.study, time.monotonic()
        self.done[key] += 1
        self.spent, self.to_do = self.spent + trial.seconds, None
        seconds = trial.seconds / self.steps[key]
        self.pace.learn(self.works[key], seconds, self.wanted[key], now - self.ended)
        self.ended = now
        self.tick()

    def tick(self):
        """Draws the line again, if the last drawing is old enough."""
        if time.monotonic() - self.shown >= self.pause:
            self.shown = time.monotonic()
            self.show(self.line(), last=False)

    def say(self, sentence):
        """A sentence of its own; the line goes on below it."""
        if not self.quiet:
            self.show(sentence, last=True)

    def close(self):
        if self.wanted:
            self.show(self.line(), last=True)

    def line(self) -> str:
        done, wanted = sum(self.done.values()), sum(self.wanted.values())
        studies = sum(self.done[key] >= wanted for key, wanted in self.wanted.items())
        seconds = time.monotonic() - self.start
        if done >= wanted:
            time_ = f"took {duration(seconds)}"
        elif (left := self._left()) is not None:
            time_ = f"about {duration(left)} left"
        else:
            time_ = f"{duration(seconds)} so far"
        label = f"{self.label} · " if self.label else ""
        return (
            f"{label}{studies} of {len(self.wanted)} studies done · {done:,} of {wanted:,} trials ·"
            f" {time_}"
        )

    def _left(self) -> float | None:
        """Seconds left; None while too little is done to judge.

        They are the seconds that the trials to come will take, at as many seconds of trials per
        second as there were so far. What was judged before counts the more, the less time has
        passed since: so the number moves to where a new judgement would have it at once.
        """
        now = time.monotonic()
        if not self.spent:
            return None
        if self.to_do is None:
            self.to_do = self._seconds_to_do()
        share = self.spent / (self.spent + self.to_do)
        if share < ENOUGH and now - self.start < LONG:
            return None
        new = (self.ended - self.start) * self.to_do / self.spent - (now - self.ended)
        new = max(0.0, new)
        if self.left is not None:
            weight = 1 - math.exp(-(now - self.judged) / (SLOW * (now - self.start) + 1))
            before = max(0.0, self.left - (now - self.judged))
            new = before + weight * (new - before)
        self.left, self.judged = new, now
        return new

    def _seconds_to_do(self) -> float:
        """Seconds that the trials to come will take, one after another."""
        keys = [key for key, wanted in self.wanted.items() if self.done[key] < wanted]
        if not keys:
            return 0.0
        seconds = self.pace.seconds([self.works[key] for key in keys])
        steps = [(self.wanted[key] - self.done[key]) * self.steps[key] for key in keys]
        return float(seconds @ steps)

    def _screen(self):
        """The way to show a line here, and the seconds between two drawings."""
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if shell is not None and hasattr(shell, "kernel"):
            from IPython.display import display

            area = []

            def in_notebook(
                line, last
            ):  # one output, so that a saved notebook shows the last line and no widget
                if area:
                    area[0].update({"text/plain": line}, raw=True)
                else:
                    area.append(display({"text/plain": line}, raw=True, display_id=True))
                if last:
                    area.clear()

            return in_notebook, 0.5
        if sys.stderr is None or sys.stderr.closed:
            return _nowhere, 1e9
        if sys.stderr.isatty():

            def in_terminal(line, last):
                sys.stderr.write(f"\r{line:<{self.length}}" + "\n" * last)
                sys.stderr.flush()
                self.length = 0 if last else len(line)

            return in_terminal, 0.5
        return (lambda line, last: print(line, file=sys.stderr, flush=True)), 30


def _nowhere(line, last):
    """For those who shall not see a line, or cannot."""


def cost(study) -> float:
    """A trial's work in arbitrary units; the constant is what a step costs however small the
    network.
    """
    return (study.num_params + 500) * study.unroll * study.mean_steps
