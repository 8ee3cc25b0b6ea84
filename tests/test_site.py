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

import pytest

import rnnkit as rk

ROOT = Path(__file__).parent.parent
LACKING = [
    name
    for name in ("mkdocs", "mkdocs_jupyter", "mkdocstrings", "latex2mathml", "bs4")
    if importlib.util.find_spec(name) is None
]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
NEEDS_SITE = pytest.mark.skipif(bool(LACKING), reason=f"the site extra is missing: {LACKING}")
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
KEPT = ("canonical", "prev", "next", "license")  # links that a browser does not fetch


class Page(HTMLParser):
    """The links, anchors, equations and plain text of a page."""

    def __init__(self, text):
        super().__init__()
        self.links = []
        self.fetched = []
        self.anchors = set()
        self.texts = []
        self.alts = []
        self.open = []
        self.equations = 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        self.equations += tag == "math"
        if tag == "img":
            self.alts.append(attributes.get("alt", ""))
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
    """The pages of the site of a copy that has an address, by their places."""
    copy = tmp_path_factory.mktemp("tree")
    out = tmp_path_factory.mktemp("site")
    for name in ("docs", "figures", "notebooks", "rnnkit"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.glob("[!.]*.*"):
        if path.is_file():
            shutil.copy(path, copy)
    shutil.copy(ROOT / "LICENSE", copy)
    command = [sys.executable, copy / "docs" / "address.py", "somebody/rnnkit"]
    subprocess.run(command, check=True)
    environment = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "PYTHONPATH": os.pathsep.join([str(copy), os.environ.get("PYTHONPATH", "")]),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", str(out)]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
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


@NEEDS_SITE
def test_every_page_leads_to_the_source(site):
    _, pages = site
    source = "https://github.com/somebody/rnnkit"
    assert [path.name for path, page in pages.items() if source not in page.links] == []


@NEEDS_SITE
def test_the_cell_that_installs_the_kit_is_not_on_the_site(site):
    out, _ = site
    for path in (out / "notebooks").glob("*.html"):
        text = path.read_text("utf-8")
        assert "find_spec" not in text and "badge.svg" not in text and "badges -->" not in text


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


@NEEDS_SITE
def test_every_picture_says_what_it_shows(site):
    _, pages = site
    assert sum(len(page.alts) for page in pages.values()) > 60
    assert [
        (path.name, alt)
        for path, page in pages.items()
        for alt in page.alts
        if len(alt) < 20 or "No description" in alt
    ] == []


@NEEDS_SITE
def test_a_figure_of_the_gallery_is_opened_as_a_drawing(site):
    _, pages = site
    by_place = {f"{path.parent.name}/{path.name}": page for path, page in pages.items()}
    assert {"fig1.svg", "fig4.svg", "audit.svg"} <= set(by_place["figures/index.html"].links)


@NEEDS_SITE
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed, nor named by $CHROMIUM")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_figures_keep_a_readable_size_and_are_moved_sideways(site, scheme):
    """They are laid out for 850 pixels; the page itself must not be wider than the phone."""
    out, _ = site
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    look = """() => {
        const shown = [...document.querySelectorAll("article img")]
            .filter(image => image.checkVisibility());
        return ({page: document.documentElement.scrollWidth,
        widths: shown.map(image => image.clientWidth),
        moved: shown.map(image => {
            let box = image;
            while (getComputedStyle(box).overflowX !== "auto") box = box.parentElement;
            box.scrollLeft = 9999;
            return box.scrollLeft + box.clientWidth >= image.clientWidth; })}); }"""
    with driver.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        size = {"width": 390, "height": 844}
        page = chromium.new_context(viewport=size, color_scheme=scheme).new_page()
        for place in ("index", "figures/index", "notebooks/4_trainability"):
            page.goto((out / f"{place}.html").as_uri())
            seen = page.evaluate(look)
            assert seen["page"] <= 390, place
            assert seen["widths"] and min(seen["widths"]) >= 700, place
            assert all(seen["moved"]), place
        chromium.close()


@NEEDS_SITE
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed, nor named by $CHROMIUM")
def test_figures_turn_dark_with_the_page(site):
    """Also where a reader chooses the scheme with the button at the top, against the system's."""
    out, _ = site
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    corners = """() => [...document.querySelectorAll("article img")]
        .filter(image => image.checkVisibility()).map(image => {
            const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
            const context = canvas.getContext("2d"); context.drawImage(image, 0, 0);
            return image.src.startsWith("data:")
                ? context.getImageData(0, 0, 1, 1).data[0] : image.src.includes("/dark/") ? 0 : 255; })"""
    with driver.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = chromium.new_context(color_scheme="light").new_page()
        for place in ("index", "figures/index", "notebooks/3_similar_loss"):
            page.goto((out / f"{place}.html").as_uri())
            page.evaluate("() => document.body.setAttribute('data-md-color-scheme', 'default')")
            page.evaluate(
                """() => Promise.all([...document.querySelectorAll("article .rnnkit-light")]
                    .map(image => { image.loading = "eager"; return image.decode(); }))"""
            )
            light = page.evaluate(corners)
            page.evaluate("() => document.body.setAttribute('data-md-color-scheme', 'slate')")
            page.evaluate(
                """() => Promise.all([...document.querySelectorAll("article .rnnkit-dark")]
                    .map(image => { image.loading = "eager"; return image.decode(); }))"""
            )
            dark = page.evaluate(corners)
            assert len(light) == len(dark) > 0, place
            assert min(light) > 240 and max(dark) < 40, place
        chromium.close()
