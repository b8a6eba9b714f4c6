"""The SQLite file of a local store: checked, created and upgraded before MLflow opens it.

MLflow creates its tables without a lock. Two processes that create one file at once leave it broken for good.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
from filelock import FileLock

from dreamvideo.errors import DamagedError, InputError, UnavailableError, in_brief
from dreamvideo.files import replacing

SQLITE = "sqlite:///"
REMEDY = "restore a copy of it, or move it away to begin a new store"


def prepare_database(uri: str) -> None:
    """Make the file of a store usable: completely or not at all, and only once, even if many processes ask at the same time.

    Args:
        uri: of the store; a store that is no SQLite file is left alone.

    Raises:
        InputError: the path cannot hold a database that this process may write.
        DamagedError: the file is no whole database.
    """
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE))
    _check_place(path)
    if _revision(path) == _newest_revision():
        return
    with FileLock(f"{path}.lock"):
        revision = _revision(path)  # another process may have finished the work
        if revision is None:
            with replacing(path) as new:
                mlflow.MlflowClient(f"{SQLITE}{new}").search_experiments(max_results=1)
        elif revision != _newest_revision():
            _upgrade(path)


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"tracking.uri names {path}, which is a folder; name a file, as in sqlite:///mlflow.db")
    if not path.parent.is_dir():
        raise InputError(
            f"tracking.uri names {path}, but there is no folder {path.parent}; create it, or name another file"
        )
    if not os.access(path if path.exists() else path.parent, os.R_OK | os.W_OK):
        raise InputError(f"tracking.uri names {path}, which this user may not read and write; change its permissions")


def _revision(path: Path) -> str | None:
    """The revision of MLflow's tables in a file; None where there are no tables yet.

    Raises:
        DamagedError: the file is no whole database, or holds a part of MLflow's tables.
        UnavailableError: the database does not open, as when another process locks it.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    try:
        # Not read-only: SQLite then could not undo what a killed process left half-written.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=60)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return None
            if "alembic_version" in tables and (
                row := database.execute("SELECT version_num FROM alembic_version").fetchone()
            ):
                return row[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise DamagedError(f"{path} cannot be read as a database ({in_brief(error)}); {REMEDY}") from error
        raise UnavailableError(
            f"{path} does not open ({in_brief(error)}); end the process that holds it, and run the same command again"
        ) from error
    raise DamagedError(f"{path} holds only a part of MLflow's tables; {REMEDY}")


def _newest_revision() -> str:
    """The revision that this MLflow reads."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    return _get_latest_schema_revision()


def _upgrade(path: Path) -> None:
    """Upgrade a copy, which then takes the file's place.

    Raises:
        InputError: the tables are of a newer MLflow.
    """
    with replacing(path) as new:
        shutil.copyfile(path, new)
        done = subprocess.run(
            [sys.executable, "-m", "mlflow", "db", "upgrade", f"{SQLITE}{new}"], capture_output=True, text=True
        )
        if done.returncode:
            raise InputError(
                f"{path} is of another version of MLflow than {mlflow.__version__}, which cannot upgrade it; install that "
                "version, or name another file in tracking.uri"
            )
