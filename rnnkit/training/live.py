"""One trial that is watched while it trains."""

import math
import time

import torch

from rnnkit.training.engines import Data, engine_for, measured
from rnnkit.training.slots import Slots, prepared

GROWTH = 1.12  # from one look to the next: steps are many, and what happens early is worth seeing


def watched(study, hparams, number=0, seconds=0.15):
    """Trains one trial of a study and yields what `train` would report of it at more and more
    steps: a dict with `steps`.

    Between two looks pass at most `seconds`, once the step is compiled, and at most an eighth of
    the steps so far, plus 8. A trial that diverges ends there, with `infeasible`. The keys are
    those of an Outcome: train_loss, valid_loss, eval_loss, accuracy. ValueError as in `train`.
    """
    dtype, total = torch.float32, int(hparams["train_steps"])
    engine = engine_for(study, Data(study, [hparams], dtype), "cpu", "auto", dtype)
    s = Slots(study.num_params, dtype, engine.device)
    s.fill(list(prepared(study, [(number, hparams)], dtype)))
    pace, step = 1e9, 0  # steps that fit into `seconds`; not known yet
    yield _look(study, engine, s)
    while step < total and not s.dead[0]:
        chunk = max(1, min(total - step, int(step * (GROWTH - 1)) + 8, int(pace)))
        start = time.perf_counter()
        engine.train(s, min(chunk, engine.most_watched))
        taken, step = int(s.step[0]) - step, int(s.step[0])
        pace = max(1, taken) * seconds / max(time.perf_counter() - start, 1e-6)
        yield _look(study, engine, s)


def _look(study, engine, s) -> dict:
    nan = dict.fromkeys(("train_loss", "valid_loss", "eval_loss", "accuracy"), math.nan)
    bad = bool(s.dead[0]) or not torch.isfinite(s.theta[0]).all()
    found = nan if bad else nan | measured(engine, study.task, s, [0])[0]
    return found | {"steps": int(s.step[0]), "infeasible": bad}
