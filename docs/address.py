"""Writes the address of the repository to every place that needs it:

    python docs/address.py OWNER/NAME     a repository on GitHub
    python docs/address.py                the remote `origin` of this checkout
    python docs/address.py --remove       none

The address is kept in one place, `Repository` in `[project.urls]` of pyproject.toml, and the site
reads it there. From there it goes into the links of pyproject.toml, into CITATION.cff, and into the
badges of README.md and of the notebooks; and the first cell of each notebook installs the kit from
it where it is missing, as on Colab. Without an address there is no badge and no link, and that cell
says where the kit must be installed. Run again, also with another address, the command replaces
what it wrote.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
HOST = "https://github.com/"
NAME = r"[\w.-]+/[\w.-]+"
MARK = "<!-- badges -->"
TAG = "install"
COLAB = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})"
BINDER = "[![Open on Binder](https://mybinder.org/badge_logo.svg)]({binder})"
WORKFLOW = "actions/workflows/ci.yml"
TESTS = f"[![Tests]({HOST}{{name}}/{WORKFLOW}/badge.svg)]({HOST}{{name}}/{WORKFLOW})"
FIRST_NOTEBOOK = "notebooks/0_start_here.ipynb"

# the first line is all that Colab shows of the cell
HEAD = """\
# @title Install the kit where it is missing, as on Colab; elsewhere this cell does nothing
import importlib.util
if not importlib.util.find_spec("rnnkit"): """
INSTALL = f'get_ipython().run_line_magic("pip", "install -q git+{HOST}{{name}}")'
REFUSE = (
    'raise ImportError("This Python has no rnnkit: choose the kernel of the environment that has'
    ' it, or install it there from its repository.")'
)


# --- the one place --------------------------------------------------------------------------------


def read(root: Path = ROOT) -> str:
    """OWNER/NAME of the repository, or "" if none is set."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    return name_of(tomllib.loads(text)["project"]["urls"].get("Repository", ""))


def name_of(address: str) -> str:
    """OWNER/NAME in an address of GitHub, whichever its form; "" in any other."""
    found = re.search(rf"github\.com[:/]({NAME}?)(?:\.git)?/?$", address)
    return found[1] if found else ""


def remote() -> str:
    """OWNER/NAME of the remote `origin`, or "" if that is not on GitHub."""
    command = ["git", "remote", "get-url", "origin"]
    return name_of(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip())


# --- what is written ------------------------------------------------------------------------------


def links(place: str, name: str) -> dict[str, str]:
    """The addresses at which Colab and Binder open the file `place` of the repository `name`."""
    return {
        "colab": f"https://colab.research.google.com/github/{name}/blob/HEAD/{place}",
        "binder": f"https://mybinder.org/v2/gh/{name}/HEAD?labpath={place}",
    }


def badges(place: str, name: str) -> str:
    return f"{COLAB} {BINDER}".format(**links(place, name))


def with_badges(text: str, line: str) -> str:
    """A Markdown text with this line below its title, in the place of an earlier one; without any
    if the line is empty. The mark ends the line: at its start it would make all of it HTML.
    """
    text = re.sub(rf"\n\n[^\n]*{MARK}", "", text)
    head, end, rest = text.partition("\n")
    return f"{head}\n\n{line} {MARK}{end}{rest}" if line else text


def write_project(path: Path, name: str):
    """The links in pyproject.toml, which installers and registries show."""
    text = re.sub(r"(?m)^(Repository|Issues|Changelog) = .*\n", "", path.read_text("utf-8"))
    if name:
        lines = {
            "Repository": f"{HOST}{name}",
            "Issues": f"{HOST}{name}/issues",
            "Changelog": f"{HOST}{name}/blob/HEAD/CHANGELOG.md",
        }
        text = re.sub(
            r"(?m)^\[project\.urls\]\n(?:.+\n)*",
            lambda part: part[0] + "".join(f'{key} = "{value}"\n' for key, value in lines.items()),
            text,
        )
    path.write_text(text, encoding="utf-8")


def write_citation(path: Path, name: str):
    text = re.sub(r"(?m)^repository-code: .*\n", "", path.read_text("utf-8"))
    line = f"repository-code: {HOST}{name}\n" if name else ""
    path.write_text(re.sub(r"(?m)^(license: .*\n)", rf"\1{line}", text), encoding="utf-8")


def write_readme(path: Path, name: str):
    line = f"{TESTS.format(name=name)} {badges(FIRST_NOTEBOOK, name)}" if name else ""
    path.write_text(with_badges(path.read_text("utf-8"), line), encoding="utf-8")


def install_cell(name: str):
    """The cell that installs the kit where it is missing, or says that it is missing."""
    source = HEAD + (INSTALL.format(name=name) if name else REFUSE)
    folded = {"source_hidden": True}
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": [TAG], "jupyter": folded})
    cell.metadata["cellView"] = "form"  # which is how Colab folds it
    cell.id = TAG
    return cell


def write_notebook(path: Path, name: str):
    """Badges and install cell; everything else in the notebook stays as it is."""
    notebook = nbformat.read(path, as_version=4)
    title = notebook.cells[0]
    install = install_cell(name)
    line = badges(f"notebooks/{path.name}", name) if name else ""
    title.source = with_badges(title.source, line)
    old = [cell for cell in notebook.cells if TAG in cell.metadata.get("tags", [])]
    if old:  # whether and when it was run stays, too
        install.execution_count = old[0].execution_count
        install.outputs = old[0].outputs
    others = [cell for cell in notebook.cells[1:] if cell not in old]
    notebook.cells = [title, install, *others]
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def write(name: str, root: Path = ROOT):
    """Writes the address of the repository `name` wherever it is needed, or removes it if the name
    is empty.
    """
    write_project(root / "pyproject.toml", name)
    write_citation(root / "CITATION.cff", name)
    write_readme(root / "README.md", name)
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        write_notebook(path, name)


def main(words: list[str], root: Path = ROOT):
    if words == ["--remove"]:
        return write("", root)
    if len(words) > 1 or words[:1] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    name = words[0] if words else remote()
    if not words and not name:
        sys.exit(
            "The remote `origin` must be on GitHub, and it is not. Name the repository: OWNER/NAME."
        )
    name = name_of(name) or name
    if not re.fullmatch(NAME, name):
        sys.exit(f"A repository of GitHub is named OWNER/NAME, got {name!r}. Correct the name.")
    write(name, root)


if __name__ == "__main__":
    main(sys.argv[1:])
