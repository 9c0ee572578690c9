"""Where numba and matplotlib keep what they made, on machines where their own places cannot be written.

numba refuses to compile for a cache that it can keep neither beside the source nor under the home folder, as in a
read-only install that a user without a home runs. It then gets a private folder among the temporary ones, or no cache.
"""

import os
import stat
import sys
import tempfile
from pathlib import Path


def prepare() -> None:
    """Name a writable cache in the environment, if there is need of one; to be called before anything is compiled."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 - never raises
    known = "MPLCONFIGDIR" in os.environ or (writable(home / "matplotlib") and writable(_config()))
    if not known and (folder := private()) is not None:
        os.environ["MPLCONFIGDIR"] = str(folder)
    beside = Path(__file__).parent / "__pycache__"
    if "NUMBA_CACHE_DIR" in os.environ or writable(beside) or writable(home / "numba"):
        return
    if (folder := private()) is None:
        from numba.core.dispatcher import Dispatcher

        setattr(Dispatcher, "enable_caching", lambda self: None)  # noqa: B010 - no cache: every process compiles
        return
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:  # it has read the environment already
        from numba.core import config

        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]


def _config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")) / "matplotlib"  # noqa: PTH111


def writable(folder: Path) -> bool:
    """Whether a folder can be written, or made where it is not there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def private() -> Path | None:
    """A folder of this user among the temporary ones that nobody else may write: what numba reads there, it runs."""
    try:
        folder = Path(tempfile.gettempdir()) / f"spikegpt-cache-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    safe = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return folder if safe else None
