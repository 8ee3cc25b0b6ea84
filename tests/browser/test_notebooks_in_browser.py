"""Every notebook opened in a real browser and run from its first cell to its last, at `smoke`; its
widget answers.
"""

import re

import nbformat
import pytest
from lab import ROOT, Widget, open_notebook, run_all

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST = ".rnnkit-controls .noUi-handle, .rnnkit-controls select:not([multiple])"


def at_smoke(path, store):
    """The notebook with the smallest scale and a store that has its trials."""
    book = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", ())]
    for name, value in (("scale", "smoke"), ("store", str(store))):
        cell.source = re.sub(
            rf'^{name}: str = ".*?"', f'{name}: str = "{value}"', cell.source, flags=re.MULTILINE
        )
    return book


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook_runs_and_its_widgets_answer(browser, address, folder, store, picture, path):
    nbformat.write(at_smoke(path, store), folder / path.name)
    errors = []
    page = open_notebook(browser, address, path.name, errors)
    try:
        assert run_all(page) == []
        panels = page.locator(".rnnkit-panel")
        if "rk.widget(" in path.read_text(encoding="utf-8"):
            panels.first.wait_for()
        for k in range(panels.count()):
            widget = Widget(page, k)
            first = widget.at.locator(FIRST).first
            first.focus()
            key = "ArrowDown" if first.evaluate("e => e.tagName") == "SELECT" else "ArrowRight"
            assert widget.timed(lambda: page.keyboard.press(key)) > 0
            picture(page, f"{path.stem}_{k}")
        assert errors == []
    finally:
        page.evaluate(
            "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown(); }"
        )  # its kernel's memory
        page.context.close()
