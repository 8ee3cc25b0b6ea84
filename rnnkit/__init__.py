"""rnnkit: a reproduction kit for Collins, Sohl-Dickstein & Sussillo, "Capacity and Trainability in
Recurrent Neural Networks" (2017).

Reading order:
    cells      the six cells, equations 1-20
    networks   M stacks of cells with a readout; counting and sizing them
    tasks      what they learn
    hparams    Appendix A as rows, and the space of a cell on a task
    architectures, flow   the cells as formulas, in numbers and over time, before any training
    tuner      which hyper-parameters to try next
    training   a queue of trials through M slots; the compiled step is in native
    trials     the store: one row per trial
    studies    studies, experiments, scales, run()
    paper      what the paper reports
    reference  the authors' own trials, where they have been downloaded
    exhibits   everything about a figure or table in one object; a file or folder per section
    analysis, figures   the exhibits' functions that notebooks use: frames in, verdicts or figures out
    widgets    interactive pictures
    reports    a cell of one's own next to the six
    lessons    the exercises of the notebooks
    reproduce  the notebooks, executed

Names are loaded at first use, so that drawing figures does not load torch.
"""

import importlib
import sys
from typing import Any

__version__ = "0.1.0"

_MODULES = (
    "analysis",
    "architectures",
    "cells",
    "exhibits",
    "figures",
    "flow",
    "hparams",
    "networks",
    "paper",
    "reference",
    "studies",
    "tasks",
    "training",
    "trials",
    "tuner",
    "widgets",
)
_NAMES = {
    "CELLS": "cells", "Cell": "cells", "register": "cells",
    "num_params": "networks", "units_for": "networks",
    "space_for": "hparams",
    "TASKS": "tasks",
    "train": "training", "Outcome": "training",
    "Trial": "trials", "TrialStore": "trials",
    "Study": "studies", "Experiment": "studies", "EXPERIMENTS": "studies", "SCALES": "studies", "run": "studies", "plan": "studies",
    "compare": "analysis", "rates_without_effect": "analysis", "verdicts": "reproduce", "best_network": "studies.retrain",
    "report": "reports", "widget": "widgets", "check": "lessons", "conclude": "exhibits.conclusions",
}  # fmt: skip
__all__ = sorted((*_MODULES, *_NAMES))


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"rnnkit.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"rnnkit.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'rnnkit' has no attribute {name!r}")


def __dir__():
    return __all__


def _watch_parameters():
    """In a notebook, refuses parameters from papermill that the notebook does not have."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel"):
        from rnnkit.notebooks import refuse_unknown

        if refuse_unknown not in shell.input_transformers_cleanup:
            shell.input_transformers_cleanup.append(refuse_unknown)


_watch_parameters()
