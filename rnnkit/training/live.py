"""One trial that somebody watches while it trains."""

import time
from collections.abc import Iterator

from rnnkit.native import Study
from rnnkit.training import results
from rnnkit.training.engines import Data, Engine, engine_for
from rnnkit.training.slots import Slots, slots_of

LOOKED_AT = ("train_loss", "valid_loss", "eval_loss", "accuracy", "infeasible", "steps")
GROWTH = 1.12  # of the steps from one look to the next, since what happens early is worth seeing


def watch(study: Study, hparams: dict, number: int = 0, seconds: float = 0.15) -> Iterator[dict]:
    """Trains one trial of a study, and yields what `train` would report of it at growing numbers of
    steps.

    Each look is a dict of an Outcome's fields LOOKED_AT. Once the step is compiled, at most
    `seconds` pass between two looks, and at most an eighth of the steps so far, plus 8. A trial
    that diverges ends there. Raises ValueError as `train` does.
    """
    total = int(hparams["train_steps"])
    engine = engine_for(study, Data(study, [hparams]))
    s = slots_of(study, [(number, hparams)])
    pace = 1e9  # steps that fit into `seconds`; not known yet
    step = 0
    yield _look(study, engine, s)
    while step < total and not s.dead[0]:
        chunk = max(1, min(total - step, int(step * (GROWTH - 1)) + 8, int(pace)))
        start = time.perf_counter()
        new_steps = int(engine.train(s, chunk)[0])
        step += new_steps
        pace = max(1, new_steps) * seconds / max(time.perf_counter() - start, 1e-6)
        yield _look(study, engine, s)


def _look(study: Study, engine: Engine, s: Slots) -> dict:
    ((_, _, outcome),) = results(study, engine, s, [0])
    return {name: getattr(outcome, name) for name in LOOKED_AT}
