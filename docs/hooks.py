"""What mkdocs.yml asks for and mkdocs does not do by itself.

Pages from elsewhere in the checkout keep their places, so that their links hold on GitHub and on
the site alike. Equations become MathML, which browsers draw without any script. Figures get a twin
for dark pages, and the page shows one of the two. Every notebook gets buttons for Colab and Binder,
and every page a link to the source, where the address of the repository is known (docs/address.py).
"""

import ast
import base64
import io
import logging
import re
import sys
from copy import copy
from pathlib import Path

import nbformat
import numpy as np
from bs4 import BeautifulSoup, NavigableString
from latex2mathml.converter import convert
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import address

ROOT = Path(__file__).resolve().parents[1]
SHOWN = (  # what of the checkout is on the site, as globs
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "figures/*", "figures/dark/*", "notebooks/*.ipynb", "notebooks/*.md",
    "rnnkit/**/*.md", "rnnkit/studies/scales.py", "rnnkit/cells.py",
)  # fmt: skip
LARGE = (".parquet", ".weights")  # the trials themselves are not on the site
MATH = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?!\s)([^$\n]+?)(?<!\s)\$(?![\w$])", re.DOTALL)
CODE = {"code", "pre", "script", "style", "math", "textarea", "svg"}
log = logging.getLogger("mkdocs.hooks.rnnkit")


@event_priority(100)  # before the notebooks are looked for
def on_files(files, config):
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and path.suffix not in LARGE:
                place = path.relative_to(ROOT).as_posix()
                files.append(File(place, str(ROOT), config.site_dir, config.use_directory_urls))
    pages = api_pages()
    for name, text in {"api/index.md": api_index(pages), **pages}.items():
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "command_line.md", content=command_line()))
    return files


# --- the API --------------------------------------------------------------------------------------


def public(tree) -> dict[str, str]:
    """Name -> module of what `rnnkit` gives, as its __init__ lists them."""
    tables = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("_MODULES", "_NAMES")
    }
    return dict.fromkeys(tables["_MODULES"], "") | tables["_NAMES"]


def first_sentence(path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=\.)\s", " ".join(text.split("\n\n")[0].split()), maxsplit=1)[0]


def source_of(module: str) -> Path:
    path = ROOT / "rnnkit" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def api_pages() -> dict[str, str]:
    """A page for each public module of the package, its parts below it."""
    names = public(ast.parse((ROOT / "rnnkit" / "__init__.py").read_text(encoding="utf-8")))
    modules = dict.fromkeys(
        [*(name for name, home in names.items() if not home), *filter(None, names.values())]
    )
    pages = {}
    for module in dict.fromkeys(module.split(".")[0] for module in modules):
        path = source_of(module)
        parts = [f"rnnkit.{module}"]
        if path.name == "__init__.py":
            parts += [
                ".".join(part.relative_to(ROOT).with_suffix("").parts)
                for part in sorted(path.parent.rglob("*.py"))
                if not part.stem.startswith("_")
            ]
        pages[f"api/{module}.md"] = (
            f"# rnnkit.{module}\n\n" + "\n\n".join(f"::: {part}" for part in parts) + "\n"
        )
    return pages


def api_index(pages) -> str:
    """The list of pages, and where each name of `import rnnkit as rk` is explained."""
    names = public(ast.parse((ROOT / "rnnkit" / "__init__.py").read_text(encoding="utf-8")))
    lines = [
        "# API",
        "",
        "`import rnnkit as rk` gives these modules:",
        "",
        "| module | |",
        "|---|---|",
    ]
    for page in pages:
        module = Path(page).stem
        lines.append(f"| [`rk.{module}`]({module}.md) | {first_sentence(source_of(module))} |")
    lines += ["", "and these names of theirs:", "", "| name | of |", "|---|---|"]
    for name, home in sorted(names.items()):
        if home:
            page = home.split(".")[0]
            lines.append(f"| `rk.{name}` | [`rnnkit.{home}`]({page}.md) |")
    return "\n".join(lines) + "\n"


def command_line() -> str:
    """What `rnnkit COMMAND --help` prints, of every command."""
    import click

    from rnnkit.__main__ import main

    def pages(command, context):
        yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
        for name in getattr(command, "commands", {}):
            sub = command.commands[name]
            yield from pages(
                sub, click.Context(sub, info_name=name, parent=context, terminal_width=100)
            )

    return "# The command line\n\n" + "\n".join(
        pages(main, click.Context(main, info_name="rnnkit", terminal_width=100))
    )


# --- equations and figures ------------------------------------------------------------------------


def on_post_page(output, page, config):
    soup = BeautifulSoup(output, "html.parser")
    with_descriptions(soup, page)
    with_drawings(soup, page)
    with_dark_twins(soup, page)
    for text in [text for text in soup.find_all(string=True) if "$" in text]:
        if type(text) is NavigableString and not CODE & {parent.name for parent in text.parents}:
            with_math(text, page)
    for script in soup.find_all("script", src=re.compile("^(https?:)?//")):
        script.decompose()  # nothing is fetched from elsewhere
    return str(soup)


def with_descriptions(soup, page):
    """Gives the pictures of a notebook the alternative texts that its outputs have."""
    if not page.file.src_uri.endswith(".ipynb"):
        return
    outputs = [
        output
        for cell in nbformat.read(page.file.abs_src_path, as_version=4).cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    alts = {
        "".join(output.data["image/png"].split()): output.metadata.get("image/png", {}).get("alt")
        for output in outputs
    }
    for image in soup.select(".jp-RenderedImage img"):
        alt = alts.get("".join(image["src"].partition(",")[2].split()))
        if alt:
            image["alt"] = alt


def with_drawings(soup, page):
    """Makes each figure a link to the same as an SVG drawing, which can be enlarged."""
    for image in soup.select('.md-typeset img[src$=".png"]'):
        drawing = re.sub(r"png$", "svg", image["src"])
        place = Path(page.file.abs_src_path).parent / drawing
        if place.is_file() and image.find_parent("a") is None:
            link = soup.new_tag("a", href=drawing, title="Enlarge")
            (image.find_parent("picture") or image).wrap(link)


def with_dark_twins(soup, page):
    """Puts a twin for dark pages beside each figure: the file that the gallery has, or the picture of
    a notebook in the colours that the kit gives its figures there (docs/extra.css shows one of them).
    """
    for picture in soup.find_all("picture"):
        dark = picture.find("source", media=re.compile("dark"))["srcset"]
        with Image.open(Path(page.file.abs_src_path).parent / picture.img["src"]) as light:
            picture.replace_with(*twins(picture.img, dark, light.size))
    for image in soup.select(".jp-RenderedImage img[src^='data:image/png']"):
        head, _, data = image["src"].partition(",")
        with Image.open(io.BytesIO(base64.b64decode(data))) as light:
            dark = base64.b64encode(dark_png(light)).decode()
            image.replace_with(*twins(image, f"{head},{dark}", light.size))


def twins(image, dark: str, size: tuple[int, int]):
    """The image for light pages, and the same with another source for dark ones; each is fetched when
    it is to be seen, so its place is kept by its size.
    """
    image["width"], image["height"] = map(str, size)
    image["loading"] = "lazy"
    other = copy(image)
    other["src"] = dark
    image["class"], other["class"] = "rnnkit-light", "rnnkit-dark"
    return copy(image), other


def dark_png(picture) -> bytes:
    """A PNG of the picture with light and dark exchanged as in the kit's figures."""
    from rnnkit.exhibits.style import for_dark_pages

    turned = io.BytesIO()
    pixels = for_dark_pages(np.asarray(picture.convert("RGB")))
    Image.fromarray(pixels).quantize(256).save(turned, "png", optimize=True)
    return turned.getvalue()


def with_math(text, page):
    """Puts MathML in the place of the equations in a text."""
    parts = []
    last = 0
    for found in MATH.finditer(text):
        shown, inline = found.groups()
        try:
            math = convert(shown or inline, display="block" if shown else "inline")
        except Exception as error:
            log.warning("%s: %r is no equation (%s)", page.file.src_uri, found.group(), error)
            continue
        parts += [NavigableString(text[last : found.start()]), BeautifulSoup(math, "html.parser")]
        last = found.end()
    if parts:
        text.replace_with(*parts, NavigableString(text[last:]))


# --- the address of the repository ----------------------------------------------------------------


def on_config(config):
    name = address.read()
    if name:
        config.copyright = f'<a href="{address.HOST}{name}">{name} on GitHub</a>'
    return config


def buttons(place: str, name: str) -> str:
    """Links that open a notebook of the repository `name` on Colab and on Binder."""
    to = address.links(place, name)
    return (
        f'<p class="rnnkit-badges"><a class="md-button" href="{to["colab"]}">Open in Colab</a>'
        f'<a class="md-button" href="{to["binder"]}">Open on Binder</a></p>'
    )


@event_priority(-100)  # after the notebook has become a page
def on_page_content(html, page, config, files):
    # the badges of the file itself, the images of which are elsewhere
    html = re.sub(rf"<p>(?:(?!</p>).)*{address.MARK}\s*</p>", "", html, flags=re.DOTALL)
    name = address.read()
    if name and page.file.src_uri.endswith(".ipynb"):
        return buttons(page.file.src_uri, name) + html
    return html
