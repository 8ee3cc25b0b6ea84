"""Stored networks that run again: the best network of each study in a store, and its answers to the
reader's inputs.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import pandas as pd
import torch

from rnnkit import places
from rnnkit.cells import cell_of, has_relu
from rnnkit.networks import blocks, forward
from rnnkit.studies import Study
from rnnkit.studies.retrain import best_network, theta_of
from rnnkit.studies.study import account_of
from rnnkit.tasks import TASKS
from rnnkit.trials import StoreError, TrialStore

# seconds of training that a reader may have to wait for, if a network's weights were not kept
PATIENCE = 20


@lru_cache(maxsize=4)
def open_store(path: str | Path | None) -> TrialStore:
    """The store at a path, or by default that of the trials that ship with the kit. It is opened
    once and stays open, since a widget reads from it at every move. Raises StoreError.
    """
    return TrialStore(Path(path or places.TRIALS).expanduser(), create=False)


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """The network of a study's best feasible trial."""

    store: TrialStore
    study: Study
    trial: pd.Series

    @cached_property
    def theta_1xP(self) -> torch.Tensor:
        """The network's weights. Raises StoreError if they were not kept and take too long to train
        again.
        """
        try:
            self.store.shelf.load(self.study.key)
        except StoreError:
            if self.trial.seconds > PATIENCE:
                raise StoreError(
                    f"The weights of {self.study.key} are not kept beside {self.store.path}, and take"
                    f" {self.trial.seconds:.0f} s to train again. Call rnnkit.studies.best_network"
                    " once, which keeps them."
                ) from None
        _, parts = best_network(self.store, self.study)
        return torch.from_numpy(theta_of(self.study, parts))[None]

    @torch.no_grad()
    def answers(self, inputs_T: Sequence[torch.Tensor], since: int) -> torch.Tensor:
        """The outputs z_SxBxO at step `since` and all later steps, for the inputs x_BxI of each
        step. Raises StoreError as `theta_1xP` does.
        """
        study = self.study
        cell = cell_of(study.architecture, study.n_layers)
        relu = torch.tensor([has_relu(cell, self.trial.hparams)])
        network = study.architecture, study.n_layers, blocks(**account_of(study))
        inputs_TxB = [x[None] for x in inputs_T]
        return forward(*network, self.theta_1xP, inputs_TxB, relu, since)[0]


def best_networks(
    store: TrialStore, task: str, seed: int = 0, form: str = ""
) -> list[StoredNetwork]:
    """The networks of all searches of a task in a store, by default those of the task's largest
    form.

    Studies with pinned hyper-parameters are left out, since they are reruns and special cases.
    Raises StoreError if there are none.
    """
    trials = store.frame()
    trials = trials[(trials.task_type == task) & (trials.seed == seed) & ~trials.infeasible]
    # the largest form is named first
    forms = [name for name in TASKS[task].forms if name in set(trials.form)]
    trials = trials[trials.form == (form or next(iter(forms), ""))]
    best = []
    for _, trial in trials.loc[trials.groupby("study").valid_loss.idxmin()].iterrows():
        with suppress(ValueError):  # a study of another version of the kit
            study = Study.from_row(trial)
            if not study.pinned and not study.start:
                best.append(StoredNetwork(store, study, trial))
    if not best:
        raise StoreError(
            f"{store.path} has no feasible trial of {task} with seed {seed}. Run its experiment"
            " first, or name another store."
        )
    return best
