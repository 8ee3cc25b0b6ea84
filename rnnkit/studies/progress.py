"""The progress of a run: one line that updates itself in a terminal or a notebook and, more rarely,
in a log file.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rnnkit.studies.pace import Pace, Work, work_of
from rnnkit.studies.study import Study
from rnnkit.trials import Trial
from rnnkit.wording import duration

# the time left is estimated after this share of the work, or after so many seconds
ENOUGH = 0.03
LONG = 60.0
# of the time since the start: about how long an estimate takes to lose half of its weight
SLOW = 0.05


@dataclass
class Search:
    """A study on its way to `target` trials, of which it has `count`."""

    target: int
    count: int
    steps: float  # mean number of training steps per trial
    work: Work

    @property
    def missing(self) -> int:
        return max(0, self.target - self.count)


class Progress:
    """Studies and trials done, and the time left, estimated from the trials that have ended.

    `jobs` holds (study, its target number of trials, the trials it has). `label` goes before the
    line; `quiet` shows nothing. `paces` holds the paces of studies that were trained elsewhere, as
    `Pace` takes them.
    """

    def __init__(
        self,
        jobs: Iterable[tuple[Study, int, int]],
        label: str = "",
        quiet: bool = False,
        paces: Iterable[tuple[Work, float]] = (),
    ) -> None:
        self.label = label
        self.quiet = quiet
        self.searches: dict[str, Search] = {}  # by the key of the study
        self.pace = Pace(paces)
        self.spent = 0.0  # seconds that trials took
        self.to_do: float | None = None  # seconds that the others will take
        for job in jobs:
            self.add(*job)
        self.start = time.monotonic()
        self.draw_time = -1e9
        self.length = 0
        self.seconds_left: float | None = None  # the last estimate
        self.estimate_time = self.start  # when it was made
        self.end_time = self.start  # when the last trial did
        self._show, self.pause = (_nowhere, 1e9) if quiet else self._screen()

    def show(self, line: str, last: bool) -> None:
        """Shows a line; `last` ends it, so that the next one stands below. A terminal that is
        closed or lost does not stop the run.
        """
        try:
            self._show(line, last)
        except (OSError, ValueError, RuntimeError):
            # ValueError: a closed file, or one whose encoding lacks a letter
            self._show = _nowhere
            self.pause = 1e9

    def add(self, study: Study, target: int, count: int) -> None:
        """Adds a study with a target of `target` trials, of which it has `count`."""
        self.searches[study.key] = Search(target, count, study.mean_steps, work_of(study))
        self.to_do = None

    def trial(self, trial: Trial) -> None:
        """Counts a trial that has ended."""
        search = self.searches[trial.study]
        clock = time.monotonic()
        search.count += 1
        self.spent += trial.seconds
        self.to_do = None
        seconds = trial.seconds / search.steps
        self.pace.learn(search.work, seconds, search.target, clock - self.end_time)
        self.end_time = clock
        self.tick()

    def tick(self, line: Callable[[], str] | None = None) -> None:
        """Draws the line again, or `line()` in its place, if the last drawing is old enough."""
        if time.monotonic() - self.draw_time >= self.pause:
            self.draw_time = time.monotonic()
            self.show((line or self.line)(), last=False)

    def say(self, sentence: str) -> None:
        """A sentence of its own; the line goes on below it."""
        if not self.quiet:
            self.show(sentence, last=True)

    def close(self) -> None:
        if self.searches:
            self.show(self.line(), last=True)

    def line(self) -> str:
        searches = self.searches.values()
        count = sum(search.count for search in searches)
        target = sum(search.target for search in searches)
        studies_done = sum(not search.missing for search in searches)
        seconds = time.monotonic() - self.start
        if count >= target:
            time_ = f"took {duration(seconds)}"
        elif (seconds_left := self._seconds_left()) is not None:
            time_ = f"about {duration(seconds_left)} left"
        else:
            time_ = f"{duration(seconds)} so far"
        label = f"{self.label} · " if self.label else ""
        return (
            f"{label}{studies_done} of {len(searches)} studies done ·"
            f" {count:,} of {target:,} trials · {time_}"
        )

    def _seconds_left(self) -> float | None:
        """Seconds left; None while too few trials have ended for an estimate.

        They are the seconds that the remaining trials will take, at the rate of the run so far (in
        seconds of trials per second). The less time has passed since an earlier estimate, the more
        that estimate counts, so the number moves smoothly towards a new estimate.
        """
        clock = time.monotonic()
        if not self.spent:
            return None
        if self.to_do is None:
            self.to_do = self._seconds_to_do()
        share = self.spent / (self.spent + self.to_do)
        if share < ENOUGH and clock - self.start < LONG:
            return None
        new = (self.end_time - self.start) * self.to_do / self.spent - (clock - self.end_time)
        new = max(0.0, new)
        if self.seconds_left is not None:
            weight = 1 - math.exp(-(clock - self.estimate_time) / (SLOW * (clock - self.start) + 1))
            before = max(0.0, self.seconds_left - (clock - self.estimate_time))
            new = before + weight * (new - before)
        self.seconds_left = new
        self.estimate_time = clock
        return new

    def _seconds_to_do(self) -> float:
        """Seconds that the remaining trials will take, one after another."""
        searches = [search for search in self.searches.values() if search.missing]
        if not searches:
            return 0.0
        seconds = self.pace.seconds([search.work for search in searches])
        return float(seconds @ [search.missing * search.steps for search in searches])

    def _screen(self) -> tuple[Callable[[str, bool], object], float]:
        """The way to show a line here, and the seconds between two drawings."""
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if shell is not None and hasattr(shell, "kernel"):
            from IPython.display import display

            area = []

            def in_notebook(line: str, last: bool) -> None:
                # one output, so that a saved notebook shows the last line and no widget
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

            def in_terminal(line: str, last: bool) -> None:
                sys.stderr.write(f"\r{line:<{self.length}}" + "\n" * last)
                sys.stderr.flush()
                self.length = 0 if last else len(line)

            return in_terminal, 0.5
        return (lambda line, last: print(line, file=sys.stderr, flush=True)), 30


def _nowhere(line: str, last: bool) -> None:
    """Shows nothing: the run is quiet, or there is nowhere to write."""
