"""Time and memory of an export against copying the checkpoint: python bench/export_scale.py CHECKPOINT [TARGET].

Each runs in a process of its own, three times in turn; medians are printed with their ratio. Writes to a temporary
folder beside the checkpoint, on the same disk.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
EXPORT = "import sys; from cli.main import main; sys.argv[0] = 'spikegpt'; main()"


def copy(source: Path, folder: Path) -> float:
    """Seconds to copy the checkpoint to disk, flushed."""
    started = time.perf_counter()
    target = folder / "copy"
    with source.open("rb") as read, target.open("wb") as write:
        shutil.copyfileobj(read, write, 1 << 22)
        write.flush()
        os.fsync(write.fileno())
    elapsed = time.perf_counter() - started
    target.unlink()
    return elapsed


def export(source: Path, folder: Path, target: str) -> tuple[float, int, int]:
    """Seconds, peak resident bytes and bytes written of one export."""
    started = time.perf_counter()
    out = folder / "out"
    command = [sys.executable, "-c", EXPORT, "export", str(source), "--target", target, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"export failed with {process.returncode}")
    elapsed = time.perf_counter() - started
    written = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    shutil.rmtree(out)
    return elapsed, usage.ru_maxrss * 1024, written


def main() -> None:
    source, target = Path(sys.argv[1]).resolve(), (sys.argv[2:] or ["nir"])[0]
    size = source.stat().st_size
    copies, exports = [], []
    with tempfile.TemporaryDirectory(dir=source.parent) as name:
        for _ in range(ROUNDS):
            copies.append(copy(source, Path(name)))
            exports.append(export(source, Path(name), target))
    copied, (took, peak, written) = (
        statistics.median(copies),
        (statistics.median(c) for c in zip(*exports, strict=True)),
    )
    print(f"checkpoint {size / 1e6:,.0f} MB; export to {target} writes {written / 1e6:,.0f} MB")
    print(f"copy {copied:.2f} s, export {took:.2f} s; limit 3 x copy + 20 s = {3 * copied + 20:.2f} s")
    print(f"peak memory {peak / 1e6:,.0f} MB = {peak / size:.2f} x the checkpoint (limit 1.5)")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
