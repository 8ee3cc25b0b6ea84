"""A study's best network: its weights from the store, or, where the store lacks them, from training
that one trial again.

A trial is a function of its study's seed, its number and its hyper-parameters, so training it again
gives what it gave, up to rounding.
"""

import math
import warnings

import numpy as np
import torch

from rnnkit.networks import blocks
from rnnkit.training import engines, train
from rnnkit.training.engines import Data, engine_for
from rnnkit.training.slots import Slots, slot_rows
from rnnkit.trials import StoreError, Trial

SAME = 1e-6  # relative: losses this near are one loss


def about(study) -> dict:
    """What the weights of a study's networks are, as the store notes it."""
    return {
        "architecture": study.architecture,
        "n_layers": study.n_layers,
        "n_units": study.n_units,
        "n_in": study.task.n_in,
        "n_out": study.task.n_out,
    }


def blocks_of(study, theta) -> dict[str, np.ndarray]:
    """The parameters theta of one network (length P), cut into its named blocks, float32."""
    shapes = blocks(**about(study))
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1]
    return {
        name: part.reshape(shape).astype(np.float32)
        for (name, shape), part in zip(shapes.items(), np.split(np.asarray(theta), ends))
    }


def theta_of(study, parts: dict) -> np.ndarray:
    """The reverse of `blocks_of`: theta, length P. StoreError for blocks of a network of another
    shape.
    """
    shapes = blocks(**about(study))
    found = {name: tuple(part.shape) for name, part in parts.items()}
    if found != shapes:
        wrong = sorted(name for name in {*shapes, *found} if shapes.get(name) != found.get(name))
        what = f"do not fit its network ({', '.join(wrong)})"
        raise StoreError(
            f"The stored weights of {study.key} {what}. Delete them; they can be had again by"
            " retraining."
        )
    return np.concatenate([parts[name].ravel() for name in shapes])


def best_network(store, study, device="cpu") -> tuple[Trial, dict[str, np.ndarray]]:
    """The study's best trial and the weights that it ended with, by block. StoreError where the
    store has no feasible trial of it.
    """
    trials = [trial for trial in store.trials(study.key) if not trial.infeasible]
    if not trials:
        raise StoreError(f"The store has no feasible trial of {study.key}. Run the study first.")
    trial = min(trials, key=lambda trial: trial.valid_loss)
    return trial, network_of(store, study, trial, device)


def network_of(store, study, trial, device="cpu") -> dict[str, np.ndarray]:
    """The weights that a feasible trial ended with, by block: the store's, if they are of this
    trial, else by training it again.

    Weights that were trained again are kept if no others of the study are better. A warning tells
    where they come out different, as another processor's rounding can make them.
    """
    try:
        known, parts = store.shelf.load(study.key)
        same = known["hyper_iter"] == trial.hyper_iter
        if same and known.get("trial_loss", known["valid_loss"]) == trial.valid_loss:
            theta_of(study, parts)
            return parts
    except StoreError:
        known = None
    (outcome,) = train(study, [trial.hparams], [trial.hyper_iter], device=device)
    if outcome.infeasible:
        raise StoreError(
            f"Trial {trial.hyper_iter} of {study.key} diverged when it was trained again here. Run"
            " the study anew."
        )
    if not math.isclose(outcome.valid_loss, trial.valid_loss, rel_tol=SAME, abs_tol=SAME):
        warnings.warn(
            f"Trial {trial.hyper_iter} of {study.key} was trained again and came out at"
            f" {outcome.valid_loss:.6g}, where the store has {trial.valid_loss:.6g} (version"
            f" {trial.version} on {trial.device}); its weights are those of now.",
            stacklevel=2,
        )
    parts = blocks_of(study, outcome.theta)
    best = (
        min(t.valid_loss for t in store.trials(study.key) if not t.infeasible)
        if len(store.numbers(study.key))
        else trial.valid_loss
    )
    if (
        trial.valid_loss <= best
    ):  # whatever weights are there now are of no better trial that the store has
        account = {
            **about(study),
            "study": study.key,
            "hyper_iter": trial.hyper_iter,
            "valid_loss": outcome.valid_loss,
            "trial_loss": trial.valid_loss,
        }
        store.shelf.save(account, parts, replace=True)
    return parts


def measured(study, hparams: dict, thetas, device="cpu") -> list[dict]:
    """Losses and accuracy, by the task's own evaluation, of networks of one study: thetas_MxP, all
    with the same hyper-parameters.

    NaN for a network whose parameters are not finite.
    """
    engine = engine_for(
        study, Data(study, [hparams], torch.float32, device), device, "auto", torch.float32
    )
    slots = Slots(study.num_params, torch.float32, engine.device)
    (row,) = slot_rows(study, [(0, hparams)], torch.float32)
    thetas = torch.as_tensor(np.asarray(thetas), dtype=torch.float32)
    slots.fill([(*row[:3], theta) for theta in thetas])
    return engines.measure(engine, study.task, slots, list(range(len(thetas))))
