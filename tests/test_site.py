"""The site: built as it is published, every link followed, and nothing fetched from elsewhere."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

import rnnkit as rk

ROOT = Path(__file__).parent.parent
LACKING = [
    name
    for name in ("mkdocs", "mkdocs_jupyter", "mkdocstrings", "latex2mathml", "bs4")
    if importlib.util.find_spec(name) is None
]
NEEDS_SITE = pytest.mark.skipif(bool(LACKING), reason=f"the site extra is missing: {LACKING}")
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
KEPT = ("canonical", "prev", "next", "license")  # links that a browser does not fetch


class Page(HTMLParser):
    """The links, anchors, equations and plain text of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.fetched, self.anchors, self.texts = [], [], set(), []
        self.open, self.equations = [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        self.equations += tag == "math"
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        target = attributes.get(FETCHED.get(tag, ""))
        if target and attributes.get("rel") not in KEPT:
            self.fetched.append(target)
        if tag not in ("img", "link", "meta", "br", "input", "hr", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        while tag in self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style", "pre", "code", "math"} & set(self.open):
            self.texts.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages of the site, by their places."""
    out = tmp_path_factory.mktemp("site")
    environment = os.environ | {
        "RNNKIT_REPOSITORY": "https://github.com/somebody/rnnkit.git",
        "NO_MKDOCS_2_WARNING": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, {path: Page(path.read_text("utf-8")) for path in sorted(out.rglob("*.html"))}


@NEEDS_SITE
def test_the_site_has_every_notebook_figure_and_module(site):
    out, pages = site
    assert {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")} <= {p.stem for p in pages}
    assert {p.name for p in (ROOT / "figures").glob("*.png")} <= {
        p.name for p in (out / "figures").iterdir()
    }
    modules = {name for name in rk.__all__ if not isinstance(getattr(rk, name), type)}
    assert {p.stem for p in (out / "api").glob("*.html")} >= modules & set(rk._MODULES)


@NEEDS_SITE
def test_every_name_of_the_package_is_in_the_api(site):
    out, pages = site
    index = (out / "api" / "index.html").read_text("utf-8")
    assert [name for name in rk.__all__ if f"rk.{name}<" not in index] == []
    explained = {anchor for path, page in pages.items() for anchor in page.anchors}
    for name in ("Cell", "Study", "TrialStore", "run", "train", "register", "widget", "check"):
        home = getattr(rk, name).__module__
        assert f"{home}.{name}" in explained, f"{home}.{name}"


@NEEDS_SITE
def test_every_link_leads_somewhere(site):
    out, pages = site
    wrong = []
    for path, page in pages.items():
        if path.name == "404.html":  # which is shown at any address
            continue
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                wrong.append((path.name, link))
            elif parts.fragment and target in pages:
                if unquote(parts.fragment) not in pages[target].anchors:
                    wrong.append((path.name, link))
    assert wrong == []


@NEEDS_SITE
def test_nothing_is_fetched_from_elsewhere(site):
    _, pages = site
    elsewhere = [
        (path.name, link[:80])
        for path, page in pages.items()
        for link in page.fetched
        if urlsplit(link).netloc
    ]
    assert elsewhere == []


@NEEDS_SITE
def test_equations_are_drawn_without_a_script(site):
    _, pages = site
    by_name = {path.stem: page for path, page in pages.items()}
    assert by_name["1_architectures"].equations > 30 and by_name["glossary"].equations == 2 + 1
    left = [
        (path.name, text.strip()[:60])
        for path, page in pages.items()
        for text in page.texts
        if re.search(r"\$[^$]*\\[a-z]+[^$]*\$", text)
    ]
    assert left == []


@pytest.fixture
def copied(tmp_path):
    """A copy of the notebooks, and docs/badges.py to write into it."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import badges
    finally:
        sys.path.remove(str(ROOT / "docs"))
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    return badges, tmp_path / "notebooks"


def test_badges_and_the_install_cell_are_written_once_however_often(copied):
    badges, folder = copied
    before = {path: nbformat.read(path, 4) for path in sorted(folder.glob("*.ipynb"))}
    for where in ("somebody/else", "somebody/rnnkit", "somebody/rnnkit"):
        badges.main(where, folder)
    for path, old in before.items():
        new = nbformat.read(path, 4)
        nbformat.validate(new)
        (install,) = [cell for cell in new.cells if "install" in cell.metadata.get("tags", [])]
        assert new.cells.index(install) == 1 and "somebody/rnnkit" in install.source
        assert install.metadata.jupyter.source_hidden
        assert new.cells[0].source.count("mybinder.org/v2/gh/somebody/rnnkit") == 1
        assert "somebody/else" not in path.read_text("utf-8")
        kept = [cell for cell in old.cells[1:] if "install" not in cell.metadata.get("tags", [])]
        assert new.cells[2:] == kept


def test_the_install_cell_does_nothing_where_the_kit_is_installed(copied):
    badges, _ = copied

    def asked():
        raise AssertionError("pip was called")

    exec(badges.install_cell("somebody/rnnkit").source, {"get_ipython": asked})
    with pytest.raises(AssertionError, match="pip was called"):
        source = badges.install_cell("somebody/rnnkit").source.replace('"rnnkit"', '"rnnkit_"')
        exec(source, {"get_ipython": asked})


def test_what_is_no_repository_is_refused(copied):
    with pytest.raises(SystemExit, match="OWNER/NAME"):
        copied[0].main("rnnkit", copied[1])


@NEEDS_SITE
def test_notebooks_have_badges(site):
    _, pages = site
    for path, page in pages.items():
        badges = [link for link in page.links if "colab" in link or "mybinder" in link]
        if path.parent.name == "notebooks" and path.stem != "index":
            place = f"notebooks/{path.stem}.ipynb"
            assert badges == [
                f"https://colab.research.google.com/github/somebody/rnnkit/blob/HEAD/{place}",
                f"https://mybinder.org/v2/gh/somebody/rnnkit/HEAD?labpath={place}",
            ]
