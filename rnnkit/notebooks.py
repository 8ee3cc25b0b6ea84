"""Executes a notebook, and checks what papermill does not: that the notebook has the parameters
that it is given, and that every cell ran. Also copies the kit's own notebooks into a reader's
folder.
"""

import ast
import errno
import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from rnnkit import places
from rnnkit.names import nearest

NOTEBOOKS = {  # notebook -> the experiments that it draws
    "0_start_here": ("start",),
    "1_architectures": (),
    "2_1_parameter_capacity": ("calibration", "inputs", "fig1", "fig2a", "fig2b", "figapp1"),
    "2_2_unit_capacity": ("fig2c",),
    "3_similar_loss": ("fig3",),
    "4_trainability": ("fig4", "fig5"),
    "A_tuner": ("tuner", "fig1", "fig5"),
    "B_tasks": (),
    "C_robustness": ("tableapp1",),
    "your_own_cell": ("more_cells",),
    "5_discussion": ("quantised",),  # last: its table of claims uses the trials of all others
}

CELL_TIMEOUT = 6 * 3600  # seconds; hardly anything is left to train when a notebook is executed

FILES = 128  # that may have to be open at once: the kernel's sockets, and what the cells read

INJECTED = "# Parameters"  # the first line of the cell with which papermill sets parameters


class NotebookError(RuntimeError):
    """A notebook was not executed to its end; the message says why in one sentence."""


class NotebookPathError(NotebookError, places.WrongPath):
    """There is no notebook where one was named."""


def copy_into(folder: str | os.PathLike) -> Path:
    """Copies the kit's notebooks into `folder`/notebooks, and the trials and networks that they draw
    into `folder`/figures. Returns the folder of the notebooks.

    ValueError for an empty name; NotebookError, before anything is copied, where a different file
    is in the way.
    """
    if not str(folder).strip():
        raise ValueError("The folder must have a name, got an empty one. Write . for this folder.")
    folder = Path(os.path.expanduser(folder))
    sources = [
        *sorted(places.NOTEBOOKS.glob("*.ipynb")),
        places.TRIALS,
        *sorted(places.TRIALS.with_suffix(".weights").glob("*")),
    ]
    targets = {source: folder / source.relative_to(places.HOME) for source in sources}
    if not places.TRIALS.is_file() or len(sources) < 2:
        raise NotebookError(
            f"The kit's notebooks must be in {places.HOME}, but they are not. Install rnnkit again."
        )
    for source, target in targets.items():
        if os.path.lexists(target) and not (target.is_file() and _alike(source, target)):
            raise NotebookError(
                f"{target} exists and differs from the kit's own copy. Name another folder."
            )
    cannot = "The notebooks cannot be copied"
    with places.writing(folder, cannot, NotebookPathError, NotebookError):
        for source, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copyfile(source, target)
    return folder / places.NOTEBOOKS.name


def _alike(first: Path, second: Path) -> bool:
    return first.read_bytes() == second.read_bytes()


def types_of(notebook: str | Path) -> dict[str, str]:
    """The names assigned in a notebook's parameters cell, each with the type that is annotated there
    ("" if none is).

    NotebookError for a file that is not a notebook.
    """
    import nbformat

    notebook = Path(notebook)
    if not notebook.is_file():
        raise NotebookPathError(f"There is no notebook {notebook}. Check the path.")
    try:
        book = nbformat.read(notebook, as_version=4)
        nbformat.validate(book)
        sources = [
            cell.source
            for cell in book.cells
            if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", ())
        ]
        return _types_in(ast.parse("\n".join(sources)).body)
    except Exception as error:  # nbformat raises many kinds
        raise NotebookError(
            f"{notebook} is not a notebook. Restore it from the repository."
        ) from error


def refuse_unknown(lines: list[str]) -> list[str]:
    """The lines of a cell, unchanged; IPython calls this with every cell before it runs it.

    ValueError for the cell that sets papermill's parameters (`papermill IN OUT -p NAME VALUE`), if
    the notebook does not have one of them. papermill itself would only warn.
    """
    from IPython import get_ipython

    if lines and lines[0].strip() == INJECTED:
        names = _parameter_names(get_ipython().user_ns.get("In", [""])[-1])
        for name in _types_in(ast.parse("".join(lines)).body) if names else ():
            if name not in names:
                near = nearest(name, names) or "Check the spelling."
                raise ValueError(
                    f"The notebook has no parameter {name}; it has {', '.join(names)}. {near}"
                )
    return lines


def _parameter_names(source: str) -> list[str]:
    """The names that a parameters cell assigns; empty for a cell with anything but annotated assignments."""
    try:
        lines = ast.parse(source).body
    except SyntaxError:
        return []
    return list(_types_in(lines)) if all(isinstance(line, ast.AnnAssign) for line in lines) else []


def _types_in(lines: list[ast.stmt]) -> dict[str, str]:
    """The names that some lines of code assign, each with the type that is annotated there ("" if
    none is).
    """
    types = {}
    for line in lines:
        for target in getattr(line, "targets", [getattr(line, "target", None)]):
            if isinstance(target, ast.Name):
                annotation = getattr(line, "annotation", None)
                types[target.id] = ast.unparse(annotation) if annotation else ""
    return types


def _fits(value: Any, kind: str) -> bool:
    """Whether a value has the annotated type of a parameter, and can be written into a notebook."""
    kinds: dict[str, Any] = {
        "int": int,
        "float": (int, float),
        "str": str,
        "bool": bool,
        "list": list,
        "tuple": (list, tuple),
        "dict": dict,
    }
    if kind in kinds and (
        not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "bool")
    ):
        return False
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):  # not JSON, not finite, or not UTF-8
        return False
    return True


LEFT = "ended before its last cell without failing (sys.exit?)"


def run_notebook(
    notebook: str | Path,
    out: str | Path,
    parameters: dict | None = None,
    cell_timeout: float = CELL_TIMEOUT,
) -> Path:
    """Executes a notebook with papermill, in its own folder, and writes it to `out` if and only if
    every cell ran without an error.

    This is checked here, because papermill reports a killed kernel, a timeout and `sys.exit` as
    completed. Until then the notebook grows cell by cell next to `out`, as *.partial.ipynb, which
    stays if it is not completed and shows how far it came. NotebookError, in one sentence.
    """
    import nbformat

    from rnnkit.trials.paths import write_atomically

    notebook = Path(notebook)
    out = Path(out)
    parameters = dict(parameters or {})
    _check_parameters(notebook, parameters)
    partial = out.with_name(f"{out.stem}.partial.ipynb")
    cause: Exception | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # of an earlier run; a link would be written through
        book = _execute(notebook, partial, parameters, cell_timeout)
        problem: str | None = _problem_in(book)
        if not problem:
            # not the file, which others who execute the same notebook write, too
            write_atomically(out, nbformat.writes(book).encode())
            partial.unlink(missing_ok=True)
    except Exception as error:
        problem = _reason(error, out, cell_timeout)
        cause = error
        if problem is None:
            raise
    if problem:
        raise NotebookError(
            f"{notebook.name} {problem}. The cells that ran are in {partial}."
        ) from cause
    return out


def _check_parameters(notebook: Path, parameters: dict) -> None:
    """NotebookError unless the notebook has all these parameters, each with a value of its type."""
    types = types_of(notebook)
    unknown = set(parameters) - set(types)
    if unknown:
        # what cannot be a name may hold line breaks and commands to a terminal
        names = [
            name if str(name).isidentifier() and len(name) < 80 else f"{name!a:.80}"
            for name in unknown
        ]
        raise NotebookError(
            f"{notebook.name} has no parameter {', '.join(sorted(names))}; "
            f"it has {', '.join(sorted(types)) or 'none'}. Check the spelling."
        )
    for name, value in parameters.items():
        if not _fits(value, types[name]):
            raise NotebookError(
                f"{notebook.name} needs a value of type {types[name] or 'that JSON has'} for"
                f" {name}, got {value!a:.200}. Change it."
            )


def _execute(notebook: Path, target: Path, parameters: dict, cell_timeout: float) -> Any:
    """Executes a notebook into a file; returns its content (an nbformat.NotebookNode)."""
    import papermill

    _check_limit_of_files()
    return papermill.execute_notebook(
        str(notebook),
        str(target),
        parameters,
        cwd=str(notebook.resolve().parent),
        kernel_name="python3",
        language="python",
        progress_bar=False,
        log_output=False,
        execution_timeout=cell_timeout,
        **_own_kernel(),
    )


def _problem_in(book: Any) -> str:
    """What went wrong in an executed notebook; empty if nothing did."""
    cells = [cell for cell in book.cells if cell.cell_type == "code" and cell.source.strip()]
    errors = [
        output.ename for cell in cells for output in cell.outputs if output.output_type == "error"
    ]
    if "SystemExit" in errors or not (errors or all(cell.execution_count for cell in cells)):
        return LEFT
    return f"shows an error in a cell: {errors[0]}" if errors else ""


def _check_limit_of_files() -> None:
    """OSError where so few files may be open that the kernel would die, or end this process."""
    with suppress(ImportError):  # no POSIX system
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit < FILES and limit != resource.RLIM_INFINITY:
            raise OSError(errno.EMFILE, f"at least {FILES} must be allowed, got {limit} open files")


def _reason(error: Exception, out: Path, cell_timeout: float) -> str | None:
    """Why a notebook failed, for a sentence that begins with its name; None for an unexpected error."""
    import nbclient.exceptions
    import papermill

    if isinstance(error, papermill.PapermillExecutionError):
        value = " ".join(str(error.evalue).split())[:300].rstrip(".")
        where = f"failed in cell {error.cell_index + 1}: {error.ename}: {value}"
        return LEFT if error.ename == "SystemExit" else where
    if isinstance(error, nbclient.exceptions.DeadKernelError):
        return "lost its kernel, which died (is there too little memory?)"
    if isinstance(error, (nbclient.exceptions.CellTimeoutError, TimeoutError)):
        return f"has a cell that did not end within {cell_timeout} s"
    if isinstance(error, MemoryError):
        return "could not be executed, since memory ran out"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return f"could not be executed ({error.strerror}; raise the limit with `ulimit -n`)"
    if isinstance(error, OSError):
        return f"cannot be written to {out.parent} ({error.strerror or error})"
    return None


def _runtime_folder() -> Path:
    """The folder in which Jupyter records how to reach a kernel; a folder of this process alone
    where that one cannot be written, as for a user without a home.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    folder = Path(jupyter_runtime_dir())
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return Path(places.private_folder().name)


def _own_kernel() -> dict:
    """Settings for a kernel of this very Python, whatever kernels are installed. Where possible it is
    reached through files: then no port is needed, and there is no warning about unencrypted TCP.
    """
    import uuid

    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    folder = _runtime_folder()
    # a socket's path has about 100 characters at most
    files = sys.platform != "win32" and len(str(folder)) <= 50

    class OwnKernelManager(AsyncKernelManager):
        # log level: jupyter_client interrupts a kernel before it ends it, which ipykernel would
        # report as an error
        kernel_spec = KernelSpec(
            language="python",
            argv=[
                sys.executable,
                "-m",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
                "--log-level=50",
            ],
        )

        def __init__(self, *args: Any, **settings: Any) -> None:
            name = str(uuid.uuid4())
            settings |= {"kernel_id": name, "connection_file": str(folder / f"kernel-{name}.json")}
            super().__init__(*args, **settings | ({"transport": "ipc"} if files else {}))

    return {"kernel_manager_class": OwnKernelManager}
