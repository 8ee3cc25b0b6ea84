"""The paper's tasks by the authors' names. A task says what its data are, what is minimised, and what the tuner is told."""

from .perceptron import Perceptron

TASKS = {task.name: task for task in (Perceptron,)}


def task_of(task_type: str):
    """The class of a task. Raises ValueError, with the names there are, for one that is not known."""
    if task_type not in TASKS:
        raise ValueError(f"task_type must be one of {', '.join(TASKS)}, got {task_type!r}. Check the spelling.")
    return TASKS[task_type]
