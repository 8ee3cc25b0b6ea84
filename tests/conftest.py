"""Settings and checks for all tests."""

import os
import sys
from pathlib import Path

import pytest

# One thread, set before anything imports torch and inherited by the processes that tests start: on
# a busy machine with two cores, two threads are many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REGISTRIES = {  # module -> its registries, whose entries and their order other tests rely on
    "rnnkit.cells": ("CELLS",),
    "rnnkit.native.ops": ("ROWS",),
    "rnnkit.studies.experiments": ("EXPERIMENTS",),
    "rnnkit.studies.scales": ("SCALES",),
    "rnnkit.tasks": ("TASKS",),
    "rnnkit.tuner": ("TUNERS",),
}

LONGEST = (  # files of tests, from the longest on, which take most of the time
    "test_notebooks.py",
    "test_reproduce.py",
    "test_chances.py",
    "test_faults.py",
    "test_notebooks_in_browser.py",
    "test_cuda.py",
    "test_widgets_in_browser.py",
    "test_cluster.py",
    "test_workers.py",
    "test_libraries.py",
)


def pytest_xdist_auto_num_workers(config):
    """No further process where files are named, since to start one takes longer than most files.
    None, where a folder or everything is tested, leaves the answer to pytest-xdist: one for each
    processor.
    """
    named = [Path(argument.partition("::")[0]) for argument in config.args]
    return 0 if all(path.is_file() for path in named) else None


def pytest_collection_modifyitems(items):
    """The longest files first, so that the processes which share them end at about the same time."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


def process_state() -> dict:
    """What one test could change in this process for all that follow."""
    state = {"working directory": os.getcwd(), "search path": list(sys.path)}
    state |= {f"${name}": os.environ.get(name) for name in os.environ if name.startswith("RNNKIT")}
    state |= {f"${name}": os.environ.get(name) for name in ("HOME", "PATH", "TMPDIR")}
    for module, names in REGISTRIES.items():
        if module in sys.modules:
            state |= {
                f"{module}.{name}": list(getattr(sys.modules[module], name).items())
                for name in names
            }
    if torch := sys.modules.get("torch"):
        state["torch's threads"] = torch.get_num_threads()
        state["torch's default type"] = torch.get_default_dtype()
        state["torch's gradients"] = torch.is_grad_enabled()
    return state


@pytest.fixture(scope="module", autouse=True)
def unchanged_process():
    """A file of tests leaves the process as it found it, so that the files may run in any order."""
    before = process_state()
    yield
    after = process_state()
    changed = [name for name in before if before[name] != after.get(name)]
    assert not changed, f"these tests leave a change behind: {', '.join(changed)}"
