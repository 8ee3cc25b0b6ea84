"""JupyterLab on loopback and a real Chromium that looks at it: what the tests of this folder drive."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
# seconds until something that takes one is given up: a machine may have much else to do
PATIENCE = 120
SIZE = {"width": 1280, "height": 1000}
RUN_ALL = """async () => {
    const app = window.jupyterapp; await app.restored;
    const panel = app.shell.currentWidget; await panel.context.ready; await panel.sessionContext.ready;
    await app.commands.execute('notebook:run-all-cells');
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter(cell => cell.model.type === 'code' && cell.model.sharedModel.source.trim())
    .map(cell => [cell.model.executionState || '', cell.model.executionCount,
                  cell.model.outputs.toJSON().filter(out => out.output_type === 'error').map(out => out.ename + ': ' + out.evalue)])"""
CLEAR = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .forEach(cell => cell.model.type === 'code' && cell.model.clearExecution())"""
LISTEN = """(image) => { window.answer = new Promise(done => {
    let start = null;  // when the hand moved, not when the driver began to look for the control
    for (const kind of ['keydown', 'pointerdown', 'input', 'change'])
        window.addEventListener(kind, () => { start ??= performance.now(); }, {capture: true, once: true});
    image.addEventListener('load', () => start !== null && done((performance.now() - start) / 1000)); }); }"""
ANSWER = (
    "(most) => Promise.race([window.answer, new Promise((_, no) => setTimeout(() => no('no new"
    " picture'), 1000 * most))])"
)


def start(folder: Path, home: Path):
    """Serves the notebooks in `folder`, with its own settings in `home`; gives the server's process
    and its address.
    """
    settings = home / "settings" / "@jupyterlab"
    for extension, name, values in (
        ("apputils-extension", "notification", {"fetchNews": "false", "checkForUpdates": False}),
        (
            "notebook-extension",
            "tracker",
            {"windowingMode": "none"},
        ),  # cells far down are on the page, too
    ):
        (settings / extension).mkdir(parents=True)
        (settings / extension / f"{name}.jupyterlab-settings").write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = dict(
        os.environ,
        JUPYTER_CONFIG_DIR=str(home / "config"),
        JUPYTER_DATA_DIR=str(home / "data"),
        JUPYTER_RUNTIME_DIR=str(home / "run"),
        JUPYTERLAB_SETTINGS_DIR=str(home / "settings"),
        JUPYTERLAB_WORKSPACES_DIR=str(home / "work"),
        PYTHONPATH=str(ROOT),
    )
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--allow-root",
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
    ]
    log = home / "lab.log"
    with open(log, "w") as file:
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
    for _ in range(4 * PATIENCE):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=1)
            return server, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.25)
    server.kill()
    raise RuntimeError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def write_notebook(path: Path, *cells: str):
    """A notebook of these code cells."""
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)


def open_notebook(browser, address, name, errors: list, cleared=True):
    """A page with the notebook open, its outputs cleared unless it is said; `errors` collects what the page's own
    programs raise.
    """
    page = browser.new_context(viewport=SIZE).new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/lab/tree/{name}?reset")  # a fresh workspace
    page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook")
    page.wait_for_function("() => !!window.jupyterapp")
    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.context.ready; }")
    if cleared:
        page.evaluate(CLEAR)
    return page


def run_all(page, timeout=4 * PATIENCE) -> list[str]:
    """Runs all cells to the end, or to the first error; the errors that they raised."""
    page.evaluate(RUN_ALL)
    end = time.monotonic() + timeout
    cells = []
    while time.monotonic() < end:
        cells = page.evaluate(CELLS)
        errors = [error for *_, found in cells for error in found]
        if errors or all(count and state != "running" for state, count, _ in cells):
            return errors
        time.sleep(0.1)
    raise TimeoutError(f"the notebook was not done after {timeout} s: {cells}")


def theme(page, name):
    """Changes the page to "JupyterLab Light" or "JupyterLab Dark"."""
    page.evaluate(
        "async (name) => { await window.jupyterapp.commands.execute('apputils:change-theme',"
        " {theme: name}); }",
        name,
    )


class Widget:
    """A panel on a page, as a reader sees and moves it."""

    def __init__(self, page, number=0):
        self.page = page
        self.at = page.locator(".rnnkit-panel").nth(number)
        self.image = self.at.locator("img.rnnkit-image")
        self.line = self.at.locator(".rnnkit-sentence")
        self.at.wait_for()
        self.at.scroll_into_view_if_needed()
        self.settle()

    @property
    def drawn(self) -> int:
        """How often the browser has shown a new picture."""
        return int(self.image.get_attribute("data-drawn") or 0)

    @property
    def sentence(self) -> str:
        return self.line.inner_text()

    def settle(self, quiet=0.6):
        """Waits until the picture has stayed as it is for a moment."""
        last = 0
        since = time.monotonic()
        start = time.monotonic()
        while last < 1 or time.monotonic() - since < quiet:
            assert time.monotonic() - start < PATIENCE, "the picture never came to rest"
            if (now := self.drawn) != last:
                last = now
                since = time.monotonic()
            time.sleep(0.05)

    def until(self, words, most=60):
        """Waits until the sentence has these words, or for so many seconds."""
        end = time.monotonic() + most
        while words not in self.sentence and time.monotonic() < end:
            time.sleep(0.1)

    def control(self, label):
        """The control with this label."""
        return self.at.locator(
            f".rnnkit-controls > *:has(> .widget-label:text-is('{label}'))"
        ).first

    def timed(self, act, most=PATIENCE) -> float:
        """Seconds from an act to the next picture, by the browser's own clock."""
        self.page.evaluate(LISTEN, self.image.element_handle())
        act()
        return self.page.evaluate(ANSWER, most)

    def press(self, label, key="ArrowRight") -> float:
        """Moves a slider with the keyboard."""
        self.control(label).locator(".noUi-handle").focus()
        return self.timed(lambda: self.page.keyboard.press(key))

    def select(self, label, shown) -> float:
        return self.timed(lambda: self.control(label).locator("select").select_option(label=shown))

    def chosen(self, label) -> str:
        return (
            self.control(label).locator("select").evaluate("list => list.selectedOptions[0].label")
        )

    def type(self, label, letter) -> float:
        self.control(label).locator("input").focus()
        self.page.keyboard.press("End")
        return self.timed(lambda: self.page.keyboard.type(letter))

    def click(self, text):
        self.at.locator("button.widget-button", has_text=text).first.click()
