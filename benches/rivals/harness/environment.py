"""The virtual environment with the pinned packages, which the command makes for itself."""

import os
import subprocess
import sys
import venv
from pathlib import Path

from harness.errors import Failure

HAS = "requirements-installed.txt"


def enter(directory: Path, requirements: list[Path]) -> None:
    """Goes on in the environment: the command begins again with its Python."""
    python = directory / "bin" / "python"
    if Path(sys.prefix).resolve() == directory.resolve():
        return
    if not python.exists():
        print(f"making {directory}", file=sys.stderr)
        directory.mkdir(parents=True, exist_ok=True)
        venv.create(directory, with_pip=True)
    install(directory, python, requirements)
    os.execv(python, [str(python), *sys.argv])


def install(directory: Path, python: Path, requirements: list[Path]) -> None:
    """What it has stays, so that engines that are left out once are not installed twice."""
    installed = directory / HAS
    has = installed.read_text() if installed.exists() else ""
    missing = [file for file in requirements if file.read_text() not in has]
    if not missing:
        return
    print(f"installing {', '.join(file.name for file in missing)}", file=sys.stderr)
    files = [word for file in missing for word in ("-r", str(file))]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *files]
    if subprocess.run(pip).returncode != 0:
        raise Failure(f"pip could not install what {missing[-1].name} names")
    installed.write_text(has + "".join(file.read_text() for file in missing))
