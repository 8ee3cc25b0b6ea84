"""A task's named sizes: the paper's own, and smaller ones of the same shape for small machines."""


def fill(task):
    """Gives every field that was left out its value in the form `task.form`. ValueError for a form or a number that cannot be."""
    if task.form not in task.forms:
        raise ValueError(f"form must be one of {', '.join(task.forms)} for {task.name}, got {task.form!r}. Check the spelling.")
    for field, default in task.forms[task.form].items():
        if getattr(task, field) is None:
            object.__setattr__(task, field, default)
        value = getattr(task, field)
        if isinstance(default, int) and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{field} must be a whole number of at least 1, got {value!r}.")
    if task.batch % 16:
        raise ValueError(f"batch must be a multiple of 16, got {task.batch}. Round it up.")


def in_batches(count: int, batch: int) -> int:
    """How many batches hold `count` samples; the last may be part empty."""
    return -(-count // batch)
