"""What an engine uses: memory of its processes, disk, and the page cache that it finds."""

import os
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SECONDS_BETWEEN_LOOKS = 0.1


class PeakMemory:
    """The most memory that a process and its descendants had at a time, while it was watched.

    Their own pages added up, and once what they share: PostgreSQL's buffers are in many processes.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0

    @contextmanager
    def watch(self, pid: int | None) -> Iterator[None]:
        if pid is None:
            yield
            return
        done = threading.Event()
        looking = threading.Thread(target=self.look, args=(pid, done))
        looking.start()
        try:
            yield
        finally:
            done.set()
            looking.join()

    def look(self, pid: int, done: threading.Event) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, resident_bytes(pid))
            if done.wait(SECONDS_BETWEEN_LOOKS):
                return


def resident_bytes(root: int) -> int:
    # A set: who has just been forked has its parent's memory until it begins a program of its own.
    sizes = set()
    for pid in family(root):
        with suppress(OSError):
            sizes.add(Path(f"/proc/{pid}/statm").read_text())
    pages = [tuple(map(int, size.split()[1:3])) for size in sizes]
    own = sum(resident - shared for resident, shared in pages)
    return (own + max((shared for _, shared in pages), default=0)) * PAGE_BYTES


def family(root: int) -> list[int]:
    """The process and all that it and its threads have started."""
    found = [root]
    for pid in found:
        with suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with suppress(OSError):
                    children = Path(f"/proc/{pid}/task/{task}/children").read_text()
                    found.extend(map(int, children.split()))
    return found


def disk_bytes(path: Path) -> int:
    """Of a file, or of the files below a directory."""
    return sum(file.stat().st_size for file in files(path))


def forget(path: Path) -> None:
    """Takes files out of the page cache: the next reader gets them from the disk.

    Only these files, so that it needs no rights and disturbs nobody.
    """
    for file in files(path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            # What has not been written yet would stay.
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
