"""The address of the repository: one command writes it to every place that needs it, and removes it
again; without an address, there are no broken links.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parent.parent
WRITTEN = ("pyproject.toml", "CITATION.cff", "README.md")

spec = importlib.util.spec_from_file_location("address", ROOT / "docs" / "address.py")
address = importlib.util.module_from_spec(spec)
spec.loader.exec_module(address)


def texts(folder) -> dict[str, str]:
    """The text of each file that the command may change."""
    paths = [*(folder / name for name in WRITTEN), *sorted((folder / "notebooks").glob("*.ipynb"))]
    return {path.name: path.read_text("utf-8") for path in paths}


def installs(path) -> list:
    cells = nbformat.read(path, 4).cells
    return [(k, c) for k, c in enumerate(cells) if "install" in c.metadata.get("tags", [])]


@pytest.fixture
def copy(tmp_path):
    """A copy of what the command writes to."""
    for name in WRITTEN:
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    return tmp_path


def test_what_is_committed_is_what_the_command_writes(copy):
    """So that no place has an address of its own, and every notebook has its install cell."""
    address.write(address.read(copy), copy)
    assert texts(copy) == texts(ROOT)


def test_without_an_address_there_is_no_badge_and_no_link(copy):
    address.main(["--remove"], copy)
    for name, text in texts(copy).items():
        assert "colab.research" not in text and "mybinder" not in text, name
        assert "badges -->" not in text and "git+http" not in text, name
    urls = tomllib.loads(texts(copy)["pyproject.toml"])["project"]["urls"]
    assert list(urls) == ["Paper"]


def test_the_address_is_written_everywhere_and_only_once_however_often(copy):
    for words in (["somebody/else"], ["git@github.com:somebody/kit.git"], ["somebody/kit"]):
        address.main(words, copy)
    assert address.read(copy) == "somebody/kit"
    files = texts(copy)
    urls = tomllib.loads(files["pyproject.toml"])["project"]["urls"]
    assert urls["Repository"] == "https://github.com/somebody/kit" and "Paper" in urls
    assert yaml.safe_load(files["CITATION.cff"])["repository-code"] == urls["Repository"]
    for name, text in files.items():
        assert "somebody/else" not in text, name
        if name.endswith((".md", ".ipynb")):
            assert text.count("mybinder.org/v2/gh/somebody/kit/HEAD?labpath=notebooks/") == 1
            assert len(re.findall("badges -->", text)) == 1
    assert re.search(r"^# rnnkit\n\n\[!\[Tests\]", files["README.md"])


def test_removing_the_address_undoes_all_of_it(copy):
    address.write("", copy)
    before = texts(copy)
    address.write("somebody/kit", copy)
    assert texts(copy) != before
    address.write("", copy)
    assert texts(copy) == before


def test_nothing_else_in_a_notebook_changes(copy):
    path = copy / "notebooks" / "2_2_unit_capacity.ipynb"
    before = nbformat.read(path, 4)
    address.write("somebody/kit", copy)
    after = nbformat.read(path, 4)
    assert after.metadata == before.metadata and after.cells[2:] == before.cells[2:]
    lines = after.cells[0].source.split("\n")
    del lines[2:4]  # the badges, and the empty line below them
    assert "\n".join(lines) == before.cells[0].source


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_every_notebook_has_one_folded_install_cell_below_its_title(path):
    ((place, cell),) = installs(path)
    assert place == 1 and cell.metadata.jupyter.source_hidden and cell.outputs == []


@pytest.mark.parametrize("name", ["", "somebody/kit"])
def test_the_install_cell_does_nothing_where_the_kit_is_installed(name, capsys):
    exec(address.install_cell(name).source, {})  # nothing is asked of a shell: there is none
    assert capsys.readouterr() == ("", "")


def test_where_the_kit_is_missing_the_cell_installs_it_from_the_address():
    asked = []

    class Shell:
        def run_line_magic(self, *words):
            asked.append(words)

    source = address.install_cell("somebody/kit").source.replace('"rnnkit"', '"no_such_kit"')
    exec(source, {"get_ipython": Shell})
    assert asked == [("pip", "install -q git+https://github.com/somebody/kit")]


def test_where_the_kit_is_missing_and_has_no_address_the_cell_says_what_to_do():
    source = address.install_cell("").source.replace('"rnnkit"', '"no_such_kit"')
    with pytest.raises(ImportError, match="has no rnnkit: choose the kernel .*, or install it"):
        exec(source, {})


@pytest.mark.parametrize(
    "words",
    [["rnnkit"], ["a/b/c"], ["https://example.org/a/b"], ["a b/c"], ["--delete"], [""]],
)
def test_what_is_no_repository_is_refused_and_nothing_is_written(copy, words):
    before = texts(copy)
    with pytest.raises(SystemExit, match="OWNER/NAME"):
        address.main(words, copy)
    assert texts(copy) == before


def test_without_a_word_the_command_takes_the_remote(copy):
    """In a checkout of somebody's fork, for example."""
    git = ["git", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q"], cwd=copy, check=True)
    (copy / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "address.py", copy / "docs")
    command = [sys.executable, "docs/address.py"]

    def run():
        return subprocess.run(command, cwd=copy, capture_output=True, text=True)

    assert "must be on GitHub" in run().stderr
    url = "https://github.com/fork/kit.git"
    subprocess.run(["git", "remote", "add", "origin", url], cwd=copy, check=True)
    assert run().returncode == 0 and address.read(copy) == "fork/kit"


def test_pip_installs_the_kit_from_a_repository(tmp_path):
    """As far as a machine without a network can try it: git fetches, setuptools builds, and what is
    installed has notebooks and trials.
    """
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    tree = tmp_path / "tree"
    target = tmp_path / "site"
    ignore = shutil.ignore_patterns(
        "__pycache__", ".git", ".venv", "tests", ".*", "build", "*.egg-info"
    )
    shutil.copytree(ROOT, tree, ignore=ignore)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(tree)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "a tree"]):
        subprocess.run([*git, *words], check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    where = f"git+{tree.as_uri()}"
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [*pip, "--target", str(target), where]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    packed = target / "rnnkit" / "packed"
    assert (packed / "figures" / "trials.parquet").stat().st_size > 1e6
    assert len(list((packed / "notebooks").glob("*.ipynb"))) == len(
        list((ROOT / "notebooks").glob("*.ipynb"))
    )
