"""One JupyterLab and one Chromium for all tests of this folder; without a Chromium they are
skipped.
"""

import json
import os
from pathlib import Path

import lab as browsing
import pytest

ANSWERS: dict[str, list[float]] = {}  # what was moved -> seconds to the next picture


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            if browsing.CHROMIUM is None:
                item.add_marker(
                    pytest.mark.skip(
                        reason=(
                            "no Chromium is installed (apt-get install chromium), nor named by"
                            " $CHROMIUM"
                        )
                    )
                )


@pytest.fixture(scope="module")
def browser():
    """A Chromium for one file of tests: playwright keeps an asyncio loop running in this thread,
    which later tests must not find there.
    """
    driver = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed; it is in the test extra"
    )
    with driver.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browsing.CHROMIUM, args=browsing.FLAGS
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """What JupyterLab serves: nothing that is opened is saved into the tree."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="session")
def address(folder, tmp_path_factory):
    server, address = browsing.start(folder, tmp_path_factory.mktemp("lab"))
    yield address
    server.terminate()
    server.wait(15)


@pytest.fixture(scope="session")
def store(folder):
    """Trials of every experiment at `smoke`, trained in seconds."""
    from rnnkit.studies import EXPERIMENTS, run

    for name in EXPERIMENTS:
        run(name, scale="smoke", store=folder / "trials.sqlite", workers=1, progress=False)
    return folder / "trials.sqlite"


@pytest.fixture(scope="session")
def picture(tmp_path_factory):
    """A function that takes a screenshot of a page, into $SCREENSHOTS or a folder of the test run,
    never into the tree.
    """
    place = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    place.mkdir(parents=True, exist_ok=True)
    yield lambda page, name: page.screenshot(path=str(place / f"{name}.png"))
    (place / "answers.json").write_text(json.dumps(ANSWERS, indent=1))


@pytest.fixture(scope="session")
def answers():
    return ANSWERS


def pytest_terminal_summary(terminalreporter):
    if ANSWERS:
        terminalreporter.section(
            "seconds from a move to the new picture in the browser (fastest, median)"
        )
        for what, seconds in ANSWERS.items():
            terminalreporter.line(
                f"{what:<60} {min(seconds):.3f} {sorted(seconds)[len(seconds) // 2]:.3f}"
            )
