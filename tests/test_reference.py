"""The authors' archive is read without running anything in it; small archives in its format are
written here, good and hostile.
"""

import gzip
import io
import math
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from rnnkit import reference
from rnnkit.reference import ArchiveError, load
from rnnkit.trials import COLUMNS

TYPE = [
    ("architecture", "S10"),
    ("task_type", "S20"),
    ("hparams", "O"),
    ("n_layers", "i8"),
    ("hyper_iter", "i8"),
    ("max_params", "i8"),
    ("num_params", "i8"),
    ("train_loss", "f8"),
    ("valid_loss", "f8"),
    ("eval_loss", "f8"),
]
HPARAMS = {"lr_init": 0.0039849, "optimizer": "RMSProp", "train_steps": 1176212}
# of the authors' README
BEST = ("lstm", "text8", HPARAMS, 4, 17, 1_280_000, 1_268_217, 1.5, 1.54, 1.549270)
OTHERS = [
    ("+rnn", "rcf", {**HPARAMS, "train_steps": 500}, 2, 0, 5_000, 4_987, 0.9, 0.91, 0.92),
    ("irnn", "text8", HPARAMS, 1, 3, 80_000, 79_000, math.nan, math.inf, math.nan),
]


# --- writing what Python 2 wrote: protocol 0-2 with byte strings ----------------------------------


class Python2:
    """A pickle as Python 2 and numpy 1 wrote it, opcode by opcode: text as byte strings, modules by
    their old names.
    """

    def __init__(self):
        self.out = bytearray(b"\x80\x02")

    def text(self, text):
        data = text.encode("latin1") if isinstance(text, str) else text
        self.out += b"T" + struct.pack("<i", len(data)) + data

    def put(self, value):
        if isinstance(value, (str, bytes)):
            self.text(value)
        elif value is None:
            self.out += b"N"
        elif isinstance(value, bool):
            self.out += b"\x88" if value else b"\x89"
        elif isinstance(value, int):
            self.out += b"\x8a\x08" + struct.pack("<q", value)
        elif isinstance(value, float):
            self.out += b"G" + struct.pack(">d", value)
        elif isinstance(value, np.float64):
            self.out += b"cnumpy.core.multiarray\nscalar\n"
            self.tuple_((Dtype("f8"), value.tobytes()))
            self.out += b"R"
        elif isinstance(value, dict):
            self.out += b"}("
            for pair in value.items():
                self.put(pair[0]), self.put(pair[1])
            self.out += b"u"
        elif isinstance(value, list):
            self.out += b"]("
            [self.put(item) for item in value]
            self.out += b"e"
        elif isinstance(value, tuple):
            self.tuple_(value)
        elif isinstance(value, Dtype):
            self.out += b"cnumpy\ndtype\n"
            self.tuple_((value.kind, 0, 1))
            self.out += b"R"
            self.tuple_(value.state)
            self.out += b"b"
        return self

    def tuple_(self, value):
        self.out += b"("
        [self.put(item) for item in value]
        self.out += b"t"

    def array(self, shape, dtype, data):
        self.out += b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
        self.tuple_((0,))
        self.put("b")
        self.out += b"tR"
        self.tuple_((1, shape, dtype, False, data))
        self.out += b"b."
        return bytes(self.out)


class Dtype:
    def __init__(self, kind):
        if isinstance(kind, list):
            real = np.dtype(kind)
            fields = {}
            for name, part in kind:
                fields[name] = (Dtype(part), real.fields[name][1])
            self.kind = f"V{real.itemsize}"
            self.state = (
                3,
                "|",
                None,
                tuple(fields),
                fields,
                real.itemsize,
                1,
                27,
            )
        elif kind[0] == "S":
            self.kind = kind
            self.state = (3, "|", None, None, None, int(kind[1:]), 1, 0)
        elif kind == "O":
            self.kind = "O8"
            self.state = (3, "|", None, None, None, -1, -1, 63)
        else:
            self.kind = kind
            self.state = (3, "<", None, None, None, -1, -1, 0)


def pickled(rows=(BEST, *OTHERS), kind=TYPE, shape=None):
    return Python2().array((len(rows),) if shape is None else shape, Dtype(list(kind)), list(rows))


def archive(path, members):
    """A .tar.gz of (name, bytes), or of (TarInfo, bytes) as they are."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members:
            info = name
            if isinstance(name, str):
                info = tarfile.TarInfo(name)
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rnn_hp_dataset.tar.gz"


def good(path):
    return archive(
        path,
        [
            ("dataset/fig3_txt8rcf.p", pickled()),
            ("dataset/fig4_arith.p", pickled([arithmetic(n) for n in range(5)])),
            ("dataset/._fig4_arith.p", b"of a Macintosh"),
            ("dataset/README.txt", b"hello"),
        ],
    )


def arithmetic(n):
    return (
        "rnn",
        "arithmetic",
        {"lr_init": np.float64(0.01), "train_steps": 100},
        1,
        n,
        100_000,
        99_000,
        2.0,
        2.0 - n,
        2.1 - n,
    )


def refused(path, said, **settings):
    with pytest.raises(ArchiveError, match=said) as caught:
        load(path, **{"verify": False, **settings})
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and len(text) < 600


# --- what it reads --------------------------------------------------------------------------------


def test_our_writer_writes_what_numpy_reads():
    """So that the archives of these tests are in the format of numpy, and not of the reader's."""
    array = pickle.loads(pickled(), encoding="latin1")
    assert array.dtype.names == tuple(name for name, _ in TYPE) and array[
        "num_params"
    ].tolist() == [1_268_217, 4_987, 79_000]
    assert array["hparams"][0] == HPARAMS and array["eval_loss"][0] == 1.549270


def test_the_readmes_best_lstm_is_found(path):
    frame = load(good(path), verify=False)
    best = (
        frame[(frame.task_type == "text8") & (frame.architecture == "lstm")]
        .nsmallest(1, "eval_loss")
        .iloc[0]
    )
    assert (best.eval_loss, best.n_layers, best.num_params) == (1.549270, 4, 1_268_217)
    assert best.hparams == HPARAMS and best.steps == 1176212


def test_a_frame_has_the_stores_columns_and_types(path):
    frame = load(good(path), verify=False)
    assert list(frame.columns) == ["experiment", *COLUMNS] and len(frame) == 8
    assert (frame.n_layers.dtype, frame.valid_loss.dtype, frame.infeasible.dtype) == (
        "int64",
        "float64",
        "bool",
    )
    assert set(frame.scale) == {"authors"} and set(frame.experiment) == {
        "fig3_txt8rcf",
        "fig4_arith",
    }


def test_a_diverged_trial_is_infeasible_and_its_losses_are_nan(path):
    row = load(good(path), verify=False).query("architecture == 'irnn'").iloc[0]
    assert row.infeasible and math.isnan(row.train_loss) and math.isnan(row.valid_loss)


def test_numbers_of_numpy_become_pythons(path):
    hparams = load(good(path), "fig4", verify=False).hparams[0]
    assert type(hparams["lr_init"]) is float and hparams["lr_init"] == 0.01


def test_one_figure_can_be_read_alone(path):
    assert set(load(good(path), "fig4", verify=False).task_type) == {"arithmetic"}


def test_figure_1_is_not_figure_10():
    assert (
        reference._is_of("fig1_capacity", "fig1")
        and reference._is_of("fig1", "fig1")
        and not reference._is_of("fig10", "fig1")
    )


def test_a_pickle_that_was_taken_out_is_read_by_itself(tmp_path):
    (tmp_path / "fig3_txt8rcf.p").write_bytes(pickled())
    frame = load(tmp_path / "fig3_txt8rcf.p")
    assert len(frame) == 3 and set(frame.experiment) == {"fig3_txt8rcf"}


def test_an_array_that_python_3_pickled_is_read_too(tmp_path):
    array = np.array([BEST, *OTHERS], TYPE)
    (tmp_path / "fig3.p").write_bytes(pickle.dumps(array, 2))
    assert load(tmp_path / "fig3.p").architecture.tolist() == ["lstm", "+rnn", "irnn"]


def test_progress_is_reported(path):
    told = []
    load(good(path), verify=False, say=told.append)
    assert told == ["fig3_txt8rcf: 3 trials", "fig4_arith: 5 trials", "8 trials of 2 files"]


# --- what it refuses ------------------------------------------------------------------------------


def test_an_archive_with_another_checksum_is_refused_unless_asked_for(path):
    refused(good(path), "must be the published archive", verify=True)
    assert len(load(path, verify=False)) == 8


def test_the_checksum_is_the_published_one():
    assert reference.SHA256 == "f2e86251474cb10b03e7461e65bc514f8c1f8257a56bbbff02656f2027b534b8"


def test_the_published_checksum_is_accepted(path, monkeypatch):
    import hashlib

    monkeypatch.setattr(reference, "SHA256", hashlib.sha256(good(path).read_bytes()).hexdigest())
    assert len(load(path)) == 8


class Trap:
    """Makes a folder if it is ever unpickled."""

    def __init__(self, call=os.mkdir, args=("sprung",)):
        self.call = call
        self.args = args

    def __reduce__(self):
        return self.call, self.args


PROTOCOLS = {f"protocol {n}": pickle.dumps(Trap(), n) for n in range(6)}
BAD_PICKLES = {
    **PROTOCOLS,
    "a shell": pickle.dumps(Trap(os.system, ("mkdir sprung",))),
    "eval of builtins": pickle.dumps(Trap(eval, ("__import__('os').mkdir('sprung')",))),
    "getattr of builtins": b"c__builtin__\ngetattr\n(cos\nmkdir\nS'x'\ntR.",
    "a trap within the hyper-parameters": pickle.dumps(
        np.array([(*BEST[:2], {"lr": Trap()}, *BEST[3:])], TYPE), 2
    ),
    "numpy's own loader": b"cnumpy\nload\n(S'x'\ntR.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x09core.load\x93.",
    "an extension code": b"\x80\x02\x82\x01.",
    "a persistent id": b"Px\n.",
    "empty": b"",
    "cut off": pickled()[:200],
    "a text": b"a letter to my mother",
    "a list": pickle.dumps([1, 2, 3]),
    "very deep": b"(" * 100_000 + b"t" * 100_000 + b".",
    "a text that is said to be huge": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x",
    "bytes that are said to be huge": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"x",
    "an array that is said to be huge": pickled(shape=(1 << 40,)),
    "an array of two dimensions": pickled(shape=(3, 1)),
    "an array without names": Python2().array((2,), Dtype("f8"), b"\0" * 16),
    "an array of too few bytes": Python2().array((4,), Dtype("f8"), b"\0" * 16),
    "an array of plain objects": pickle.dumps(np.array([Trap()], object), 2),
    "rows that are too short": pickled([BEST[:4]]),
    "columns outside the row": (
        pickled().replace(b"T\x09\x00\x00\x00eval_loss", b"T\x09\x00\x00\x00eval_lost", 1)
    ),
}


ALTERED = {
    "defaults of a function": b"cnumpy.core.multiarray\nscalar\n(N}S'__defaults__'\n(S'x'\ntstb.",
    "an attribute of a function": b"cnumpy.core.multiarray\nscalar\n}S'x'\nI1\nsb.",
    "the code of another": b"c_codecs\nencode\n(N}S'function'\ncnumpy\ndtype\nstb.",
    "a class": b"cnumpy\nndarray\n(N}S'items'\n]stb.",
    "a class of the library": b"ccollections\nOrderedDict\n(N}S'x'\nI1\nstb.",
}


@pytest.mark.parametrize("what", ALTERED)
def test_a_pickle_that_would_alter_its_reader_is_refused_and_alters_nothing(tmp_path, what):
    def state():
        functions = [part for part in reference.SUBSTITUTES.values() if hasattr(part, "function")]
        return [
            *[(f.function, f.function.__defaults__, f.function.__dict__.copy()) for f in functions],
            dict(vars(reference._Array)),
            dict(vars(reference._Dtype)),
        ]

    before = state()
    (tmp_path / "fig3.p").write_bytes(ALTERED[what])
    refused(tmp_path / "fig3.p", "cannot be read|must hold|does not hold|is not an array")
    assert state() == before and len(before) == 7
    assert len(reference.load(saved(tmp_path))) > 0


def saved(tmp_path):
    (tmp_path / "fig3_txt8rcf.p").write_bytes(pickled())
    return tmp_path / "fig3_txt8rcf.p"


@pytest.mark.parametrize("what", BAD_PICKLES)
def test_a_pickle_of_something_else_is_refused_and_not_run(path, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    refused(
        archive(path, [("dataset/fig3_txt8rcf.p", BAD_PICKLES[what])]),
        "cannot be read|must hold|does not hold",
    )
    (tmp_path / "fig3.p").write_bytes(BAD_PICKLES[what])
    refused(tmp_path / "fig3.p", "cannot be read|must hold|does not hold")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "column, value",
    [
        ("architecture", "transformer"),
        ("task_type", "imagenet"),
        ("task_type", ["per_cap"]),
        ("n_layers", -1),
        ("hyper_iter", "first"),
        ("num_params", math.nan),
        ("train_loss", "low"),
        ("hparams", [1, 2]),
        ("hparams", {"lr_init": [1]}),
        ("hparams", {3: 1.0}),
    ],
)
def test_a_value_that_no_trial_has_is_refused(path, column, value):
    kind = [(name, "O" if name == column else part) for name, part in TYPE]
    row = tuple(value if name == column else old for (name, _), old in zip(TYPE, BEST))
    refused(archive(path, [("fig3.p", pickled([row], kind))]), f"{column} is")


def test_an_array_with_other_columns_is_refused(path):
    kind = [pair for pair in TYPE if pair[0] != "valid_loss"]
    refused(archive(path, [("fig3.p", pickled([BEST[:8] + BEST[9:]], kind))]), "lacks valid_loss")


def member(name, kind=tarfile.REGTYPE, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(
    "info, said",
    [
        (member("../fig3.p"), "leads out"),
        (member("dataset/../../fig3.p"), "leads out"),
        (member("/etc/fig3.p"), "leads out"),
        (member("C:\\fig3.p"), "leads out"),
        (member("..\\fig3.p"), "leads out"),
        (member("fig3.p", tarfile.SYMTYPE, linkname="/etc/passwd"), "neither a file"),
        (member("fig3.p", tarfile.LNKTYPE, linkname="../secret.p"), "neither a file"),
        (member("fig3.p", tarfile.CHRTYPE, devmajor=1, devminor=5), "neither a file"),
        (member("fig3.p", tarfile.FIFOTYPE), "neither a file"),
    ],
)
def test_a_member_that_is_no_plain_file_within_is_refused(path, info, said):
    refused(archive(path, [("fig1.p", pickled()), (info, b"")]), said)


def test_a_member_that_claims_to_be_huge_is_refused(path):
    info = member("fig3.p", size=1 << 42)
    path.write_bytes(gzip.compress(info.tobuf() + b"\0" * 4096))
    refused(path, "claims to have 4,398,046,511,104 bytes")


def test_a_long_name_that_claims_to_be_huge_is_refused_without_reading_it(path):
    info = member("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=6 << 30)
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096))
    refused(path, "cannot be read")


def test_an_archive_that_swells_is_refused(path, monkeypatch):
    monkeypatch.setattr(reference, "MAX_BYTES", 1 << 20)
    bomb = archive(
        path, [("notes.txt", bytes(900_000)), ("more.txt", bytes(900_000)), ("fig3.p", pickled())]
    )
    assert bomb.stat().st_size < 10_000
    refused(bomb, "more than 1,048,576 bytes")


def test_an_archive_of_countless_files_is_refused(path):
    refused(archive(path, [(f"{n}.txt", b"") for n in range(300)]), "is one file more than 200")


@pytest.mark.parametrize(
    "data",
    [b"", b"no archive", gzip.compress(b"no tar"), gzip.compress(b"x" * 9999)[:-9]],
    ids=("empty", "a text", "gzip alone", "gzip cut off"),
)
def test_a_file_that_is_not_an_archive_is_refused(path, data):
    path.write_bytes(data)
    refused(path, "cannot be read|holds no pickle")


def test_an_archive_that_is_cut_off_is_refused(path):
    data = good(path).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    refused(path, "cannot be read")


def test_a_missing_file_and_a_missing_figure_are_reported(path, tmp_path):
    refused(tmp_path / "none.tar.gz", "There is no file")
    refused(good(path), "holds no pickle of fig7", figure="fig7")
