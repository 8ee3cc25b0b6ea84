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
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip
WIDTH, HEIGHT = 1280, 1000
RUN_ALL = """async () => {
    const app = window.jupyterapp; await app.restored;
    const panel = app.shell.currentWidget; await panel.context.ready; await panel.sessionContext.ready;
    await app.commands.execute('notebook:run-all-cells');
}"""
STATES = """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === 'code' && c.model.sharedModel.source.trim())
    .map(c => [c.model.executionCount, c.model.outputs.toJSON().filter(o => o.output_type === 'error').map(o => o.evalue)])"""


def start(folder: Path, home: Path):
    """Serves the notebooks in `folder`, with its own settings in `home`; gives the server's process and its address."""
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    notebooks = home / "settings" / "@jupyterlab" / "notebook-extension"
    notebooks.mkdir()
    (notebooks / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))  # cells far down exist, too
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = dict(
        os.environ, JUPYTER_CONFIG_DIR=str(home / "config"), JUPYTER_DATA_DIR=str(home / "data"), JUPYTER_RUNTIME_DIR=str(home / "run"),
        JUPYTERLAB_SETTINGS_DIR=str(home / "settings"), JUPYTERLAB_WORKSPACES_DIR=str(home / "work"), PYTHONPATH=str(ROOT),
        JUPYTER_PREFER_ENV_PATH="1", OMP_NUM_THREADS="1",
    )  # fmt: skip
    command = [
        sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    log = home / "lab.log"
    with open(log, "w") as file:
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=1)
            return server, address
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


def open_notebook(browser, address, name, dark=False, errors=None):
    """A page with the notebook open; `errors` collects what the page's programs raise."""
    page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}).new_page()
    page.on("pageerror", lambda error: errors is not None and errors.append(str(error)))
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook", timeout=60_000)
    page.wait_for_function("() => !!window.jupyterapp")
    if dark:
        page.evaluate("async () => { await window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'}); }")
    return page


def run_all(page, timeout=120):
    """Runs all cells; the errors that they raised."""
    page.evaluate(RUN_ALL)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        cells = page.evaluate(STATES)
        if any(errors for _, errors in cells) or all(count for count, _ in cells):
            return [error for _, errors in cells for error in errors]
        time.sleep(0.1)
    raise TimeoutError(f"the notebook was not done after {timeout} s: {cells}")


class Widget:
    """A panel on a page, as a reader sees it."""

    def __init__(self, page, number=0):
        self.page, self.at = page, page.locator(".rnnkit-panel").nth(number)
        self.image, self.sentence = self.at.locator("img.rnnkit-image"), self.at.locator(".rnnkit-sentence")
        self.image.wait_for(timeout=60_000)
        self.settle()

    @property
    def drawn(self) -> int:
        """How often the browser has shown a new picture."""
        return int(self.image.get_attribute("data-drawn") or 0)

    def settle(self, quiet=0.7):
        """Waits until the picture has stayed as it is for a moment."""
        last, since = -1, time.monotonic()
        while last < 1 or time.monotonic() - since < quiet:
            if (now := self.drawn) != last:
                last, since = now, time.monotonic()
            time.sleep(0.05)

    def control(self, label):
        """The part of the page that has this label."""
        return self.at.locator(f".jupyter-widgets:has(> .widget-label:text-is('{label}'))").first

    def handle(self, label):
        return self.control(label).locator(".noUi-handle")

    def press(self, label, key="ArrowRight", times=1):
        """Moves a slider with the keyboard; seconds from the key to the new picture in the browser, one each time."""
        self.handle(label).focus()
        return [self.timed(lambda: self.page.keyboard.press(key)) for _ in range(times)]

    def select(self, label, shown):
        return self.timed(lambda: self.control(label).locator("select").select_option(label=shown))

    def click(self, label):
        self.at.locator("button.widget-button", has_text=label).click()

    def timed(self, act, timeout=10):
        """Seconds from an act to the next picture, by the browser's own clock."""
        self.page.evaluate("""(image) => { window.answer = new Promise(done => { const start = performance.now();
            image.addEventListener('load', () => done((performance.now() - start) / 1000), {once: true}); }); }""", self.image.element_handle())
        act()
        return self.page.evaluate(f"() => Promise.race([window.answer, new Promise((_, no) => setTimeout(() => no('no new picture'), {timeout * 1000}))])")
