"""A study's best network: its weights come from the store or, if the store lacks them, from training
that one trial again.

A trial is a function of its study's seed, its number and its hyper-parameters, so training it again
gives the same network up to rounding.
"""

import math
import os
import warnings

import numpy as np
import torch

from rnnkit.networks import blocks
from rnnkit.studies.study import Study, account_of, blocks_of
from rnnkit.training import engines, train
from rnnkit.training.engines import Data, engine_for
from rnnkit.training.slots import slots_of
from rnnkit.trials import StoreError, Trial, TrialStore, opened

SAME = 1e-6  # relative and absolute; losses this close to each other are the same
WEIGHT_ADVICE = "Delete them; they can be had again by retraining."


def theta_of(study: Study, network: dict[str, np.ndarray]) -> np.ndarray:
    """The parameters theta (length P) of a network given by its blocks, as `blocks_of` gives them.
    StoreError for blocks of a network of another shape.
    """
    required_shapes = blocks(**account_of(study))
    shapes = {name: tuple(block.shape) for name, block in network.items()}
    if shapes != required_shapes:
        names = sorted({*required_shapes, *shapes})
        wrong = [name for name in names if required_shapes.get(name) != shapes.get(name)]
        raise StoreError(
            f"The stored weights of {study.key} do not fit its network ({', '.join(wrong)})."
            f" {WEIGHT_ADVICE}"
        )
    return np.concatenate([network[name].ravel() for name in required_shapes])


def best_network(
    store: TrialStore | str | os.PathLike, study: Study, device: str = "cpu"
) -> tuple[Trial, dict[str, np.ndarray]]:
    """The study's best trial, and the weights at the end of its training by block. `store` is a
    TrialStore or the path of one. StoreError if it has no feasible trial of the study.
    """
    with opened(store, create=False) as trial_store:
        trials = [trial for trial in trial_store.trials(study.key) if not trial.infeasible]
        if not trials:
            raise StoreError(
                f"The store has no feasible trial of {study.key}. Run the study first."
            )
        trial = min(trials, key=lambda trial: trial.valid_loss)
        return trial, weights_of(trial_store, study, trial, device)


def weights_of(
    store: TrialStore, study: Study, trial: Trial, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """The weights at the end of the training of a feasible trial, by block. They come from the
    store if its weights are those of this trial, and from training the trial again otherwise.

    New weights are saved unless the study has a better trial. A warning says so if the loss has
    changed, as the rounding of another processor may do.
    """
    try:
        account, network = store.shelf.load(study.key)
        same_trial = account["hyper_iter"] == trial.hyper_iter
        if same_trial and account.get("trial_loss", account["valid_loss"]) == trial.valid_loss:
            theta_of(study, network)  # StoreError if they do not fit
            return network
    except StoreError:
        pass
    (outcome,) = train(study, [trial.hparams], [trial.hyper_iter], device=device)
    if outcome.infeasible:
        raise StoreError(
            f"Trial {trial.hyper_iter} of {study.key} diverged when it was trained again here. Run"
            " the study again."
        )
    if not math.isclose(outcome.valid_loss, trial.valid_loss, rel_tol=SAME, abs_tol=SAME):
        warnings.warn(
            f"Trial {trial.hyper_iter} of {study.key} was trained again and came out at"
            f" {outcome.valid_loss:.6g}, where the store has {trial.valid_loss:.6g} (version"
            f" {trial.version} on {trial.device}); the new weights are used.",
            stacklevel=2,
        )
    network = blocks_of(study, outcome.theta)
    losses = [t.valid_loss for t in store.trials(study.key) if not t.infeasible]
    if trial.valid_loss <= min(losses, default=trial.valid_loss):
        # the stored weights, if there are any, are not those of a better trial
        account = {
            **account_of(study),
            "study": study.key,
            "hyper_iter": trial.hyper_iter,
            "valid_loss": outcome.valid_loss,
            "trial_loss": trial.valid_loss,
        }
        store.shelf.save(account, network, replace=True)
    return network


def evaluate(
    study: Study, hparams: dict, thetas: np.ndarray | list, device: str = "cpu"
) -> list[dict[str, float]]:
    """Losses and accuracy, by the task's own evaluation, of M networks of one study, which have
    parameters thetas_MxP and the same hyper-parameters.

    NaN for a network whose parameters are not finite.
    """
    data = Data(study, [hparams], torch.float32, device)
    engine = engine_for(study, data, device, "auto", torch.float32)
    slots = slots_of(study, [(0, hparams)], device=engine.device)
    slots.keep([0] * len(thetas))
    slots.theta.copy_(torch.as_tensor(np.asarray(thetas)))
    return engines.measure(engine, slots, list(range(len(thetas))))
