"""Writes into every notebook the badges of Colab and Binder, and the cell with which Colab installs
the kit, once the address of the repository is known:

    python docs/badges.py OWNER/NAME

Run again, also with another address, it replaces what it wrote. The cell does nothing where the kit
is installed, and JupyterLab, the site and Binder show it folded or not at all.
"""

import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
MARK = "<!-- badges -->"
TAG = "install"
BADGES = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}) "
    "[![Open on Binder](https://mybinder.org/badge_logo.svg)]({binder})"
)
INSTALL = """\
# Colab has to install the kit first; where it is installed, this does nothing.
import importlib.util
if not importlib.util.find_spec("rnnkit"): get_ipython().run_line_magic("pip", "install -q git+https://github.com/{where}")"""


def links(place: str, where: str) -> dict[str, str]:
    """The addresses at which Colab and Binder open the file `place` of the repository `where`."""
    return {
        "colab": f"https://colab.research.google.com/github/{where}/blob/HEAD/{place}",
        "binder": f"https://mybinder.org/v2/gh/{where}/HEAD?labpath={place}",
    }


def install_cell(where: str):
    """The cell that installs the kit where it is missing."""
    folded = {"source_hidden": True, "outputs_hidden": True}
    metadata = {"tags": [TAG], "jupyter": folded, "cellView": "form"}
    cell = nbformat.v4.new_code_cell(INSTALL.format(where=where), metadata=metadata)
    cell.id = TAG
    return cell


def write(path: Path, where: str):
    """Writes badges and install cell into a notebook; everything else in it stays as it is."""
    book = nbformat.read(path, as_version=4)
    title = book.cells[0]
    text = re.sub(rf"\n*{MARK}[^\n]*", "", title.source)
    head, line_end, rest = text.partition("\n")
    badges = BADGES.format(**links(f"notebooks/{path.name}", where))
    title.source = f"{head}\n\n{MARK} {badges}{line_end}{rest}"
    cells = [cell for cell in book.cells if TAG not in cell.metadata.get("tags", [])]
    book.cells = [cells[0], install_cell(where), *cells[1:]]
    nbformat.validate(book)
    nbformat.write(book, path)


def main(where: str, folder: Path = ROOT / "notebooks"):
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", where):
        sys.exit(f"A repository of GitHub is named OWNER/NAME, got {where!r}.")
    for path in sorted(folder.glob("*.ipynb")):
        write(path, where)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
