"""The paper's tasks by the authors' names. A task defines its data, what training minimises and
what the tuner minimises; task.py says what a new task must define.

All tasks but the first come in named sizes, `forms`: "paper", "small" and "tiny" (text8 also in
"small sample" and so on, with the text that ships with the kit).
"""

from typing import Any

from rnnkit.names import resolve_name

from .arithmetic import Arithmetic
from .memory import Memory
from .parentheses import Parentheses
from .perceptron import Perceptron
from .random_function import RandomFunction
from .task import Batched, Stored, Task
from .text8 import Text8

__all__ = ["TASKS", "Batched", "Stored", "Task", "example", "task_of"]

TASKS: dict[str, type[Any]] = {
    task.name: task for task in (Perceptron, Memory, RandomFunction, Text8, Parentheses, Arithmetic)
}


def task_of(task_type: str) -> type[Any]:
    """The class of a task. Raises ValueError, which lists the known names, for an unknown one."""
    return TASKS[resolve_name("task_type", task_type, TASKS)]


def example(task_type: str, form: str = "small", seed: int = 0) -> dict:
    """The first training sample of a task as plain numbers and text, with the losses of chance and
    of perfection (0 unless the task says otherwise); `Task.example` has the keys.

    Raises OSError or ValueError where the task's text cannot be read.
    """
    task_class = task_of(task_type)
    task = task_class(form) if task_class.forms else task_class()
    first = task.steps - task.scored
    usual = {"task": task.name, "form": task.form, "first": first, "perfect": 0.0}
    return usual | task.example(seed)
