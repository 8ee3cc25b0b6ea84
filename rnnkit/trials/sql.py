"""The SQL of a store's table of trials, and sentences for SQLite's errors."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnkit.trials.paths import TOO_MANY_FILES, too_many_files
from rnnkit.trials.trial import COLUMNS, DEFAULTS, INDICES, MAY_BE_NAN, StoreError, plain

SQL_TYPES = {
    str: "TEXT NOT NULL",
    dict: "TEXT NOT NULL",
    int: "INTEGER NOT NULL",
    bool: "INTEGER NOT NULL",
    float: "REAL",
}
# positions in a row
STUDY = INDICES["study"]
NUMBER = INDICES["hyper_iter"]
TEXTS = [name for name, kind in COLUMNS.items() if kind is str]
NAMES = ", ".join(f'"{name}"' for name in COLUMNS)  # in quotes, since COMMIT is a keyword of SQL


def declaration(name: str) -> str:
    """The declaration of a column; one that an older version of the kit does not fill has a
    default.
    """
    optional = name in DEFAULTS and name not in MAY_BE_NAN
    default = f" DEFAULT {DEFAULTS[name]!r}" if optional else ""
    return f'"{name}" {SQL_TYPES[COLUMNS[name]]}{default}'


CREATE = f"""CREATE TABLE trials ({", ".join(map(declaration, COLUMNS))},
              PRIMARY KEY (study, hyper_iter))"""
# what may stand in the declaration of a table or an index, and in none of ours
RULE = re.compile(r"\b(?:UNIQUE|CHECK|REFERENCES|GENERATED|COLLATE|CONFLICT|VIRTUAL|AS)\b", re.I)
PARAMETERS = ", ".join(f"?{number}" for number in range(1, len(COLUMNS) + 1))
INSERT = f"""INSERT INTO {{table}} ({NAMES}) SELECT {PARAMETERS}
              WHERE NOT EXISTS (SELECT 1 FROM main.trials WHERE main.trials.study = ?{STUDY + 1}
              AND main.trials.hyper_iter = ?{NUMBER + 1}) ON CONFLICT (study, hyper_iter) DO NOTHING"""
# the trials of a Parquet file and those of the store beside it, which is attached as `side`
ALL_TRIALS = f"""CREATE TEMP VIEW all_trials AS SELECT {NAMES} FROM main.trials UNION ALL SELECT {NAMES} FROM side.trials AS new
            WHERE NOT EXISTS (SELECT 1 FROM main.trials AS old WHERE old.study = new.study AND old.hyper_iter = new.hyper_iter)"""

LOCKED = "is locked by another writer. Wait until it has ended, or give another path."
# the beginning of an error's name in SQLite -> what it says of the store; the first match counts
EXPLANATIONS = {
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": LOCKED,
    "SQLITE_READONLY": (
        "may not be written. Change the permissions of it and of its folder, or give another path."
    ),
    "SQLITE_CANTOPEN": (
        "cannot be opened or made. Check that you may write in its folder, or give another path."
    ),
    "SQLITE_FULL": "is on a full disk. Free some space and start again; what was stored is safe.",
    "SQLITE_TOOBIG": (
        "has a row with a text that is far too long for a trial. Delete that row, or give another"
        " path."
    ),
    "SQLITE_IOERR": (
        "is on a disk that failed or is full ({error}). Make room or move it; what was stored is"
        " safe."
    ),
    "": "gave an error ({error}). Check the file, or give another path.",
}


def plain_reason(reason: object) -> str:
    """A reason in one plain line, since SQLite quotes names and texts of the store."""
    return plain(" ".join(str(reason).split()))[:300]


def corrupt(path: Path, reason: object) -> str:
    """The sentence about a corrupt store."""
    return (
        f"The store {path} is corrupt ({plain_reason(reason)}). Save what can be read with"
        f" `sqlite3 {path} .recover | sqlite3 new.sqlite`, or give another path."
    )


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors about the store at a path into StoreErrors."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or ""
        if isinstance(error, sqlite3.ProgrammingError) and "thread" in str(error):
            raise StoreError(
                f"A TrialStore must be used in the thread that opened it, and another one uses that of"
                f" {path}. Open one per thread; they can share a file."
            ) from error
        if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
            raise StoreError(
                f"A TrialStore must be open to be used, and that of {path} was closed. Open it again."
            ) from error
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise StoreError(corrupt(path, error)) from error
        explanation = next(text for start, text in EXPLANATIONS.items() if name.startswith(start))
        if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR")):
            explanation = TOO_MANY_FILES if too_many_files() else explanation
        raise StoreError(
            f"The store {path} {explanation.format(error=plain_reason(error))}"
        ) from error
