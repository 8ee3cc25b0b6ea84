"""How trials stand in an SQLite file, and what SQLite's errors mean."""

import sqlite3
from contextlib import contextmanager

from rnnkit.trials.trial import COLUMNS, LATER, MAY_BE_NAN, StoreError

KINDS = {
    str: "TEXT NOT NULL",
    dict: "TEXT NOT NULL",
    int: "INTEGER NOT NULL",
    bool: "INTEGER NOT NULL",
    float: "REAL",
}
STUDY, NUMBER = (list(COLUMNS).index(name) for name in ("study", "hyper_iter"))  # places in a row
TEXTS = [name for name, kind in COLUMNS.items() if kind is str]
NAMES = ", ".join(f'"{name}"' for name in COLUMNS)  # in quotes, since `commit` is a word of SQL's


def column(name: str) -> str:
    """How a column is declared; those that an older version of the kit does not fill have a
    default.
    """
    optional = name in LATER and name not in MAY_BE_NAN
    return f'"{name}" {KINDS[COLUMNS[name]]}' + (f" DEFAULT {LATER[name]!r}" if optional else "")


CREATE = f"""CREATE TABLE trials ({", ".join(map(column, COLUMNS))},
              PRIMARY KEY (study, hyper_iter))"""
VALUES = ", ".join(f"?{place}" for place in range(1, len(COLUMNS) + 1))
KEY = " AND ".join(
    f"main.trials.{name} = ?{list(COLUMNS).index(name) + 1}" for name in ("study", "hyper_iter")
)
INSERT = f"""INSERT INTO {{table}} ({NAMES}) SELECT {VALUES}
              WHERE NOT EXISTS (SELECT 1 FROM main.trials WHERE {KEY}) ON CONFLICT DO NOTHING"""
BOTH = f"""CREATE TEMP VIEW both AS SELECT {NAMES} FROM main.trials UNION ALL SELECT {NAMES} FROM more.trials AS new
            WHERE NOT EXISTS (SELECT 1 FROM main.trials AS old WHERE old.study = new.study AND old.hyper_iter = new.hyper_iter)"""


def corrupt(path, why) -> str:
    return (
        f"The store {path} is corrupt ({' '.join(str(why).split())}). Save what can be read with "
        f"`sqlite3 {path} .recover | sqlite3 new.sqlite`, or give another path."
    )


@contextmanager
def plainly(path):
    """SQLite's errors about the store at a path, as sentences."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or ""
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise StoreError(corrupt(path, error)) from error
        for start, what in (
            (
                "SQLITE_BUSY",
                "is locked by another writer. Wait until it has ended, or give another path.",
            ),
            (
                "SQLITE_LOCKED",
                "is locked by another writer. Wait until it has ended, or give another path.",
            ),
            (
                "SQLITE_READONLY",
                (
                    "may not be written. Change the permissions of it and of its folder, or give"
                    " another path."
                ),
            ),
            (
                "SQLITE_CANTOPEN",
                (
                    "cannot be opened or made. Check that you may write in its folder, or give"
                    " another path."
                ),
            ),
            (
                "SQLITE_FULL",
                "is on a full disk. Free some space and start again; what was stored is safe.",
            ),
            (
                "SQLITE_IOERR",
                (
                    f"is on a disk that failed or is full ({error}). Make room or move it; what was"
                    " stored is safe."
                ),
            ),
            ("", f"gave an error ({error}). Check the file, or give another path."),
        ):
            if name.startswith(start):
                raise StoreError(f"The store {path} {what}") from error
