#!/usr/bin/env python3
"""Kestrel beside other engines: the 22 queries of TPC-H, the same rows, the same machine.

    benches/rivals/run.py --scale 1 --rounds 5 --engines kestrel,duckdb,postgresql

Makes the rows, a virtual environment and a database per engine once, then runs one engine at a time,
all of them in each round. README.md says what is measured and how.
"""

import signal
import sys

from harness import arguments, environment
from harness.errors import Failure


def main() -> int:
    # However it ends, it ends the engines.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments.parse(sys.argv[1:])
    environment.enter(options.work / "venv", arguments.requirements(options))
    # Needs what the environment has.
    from harness import command

    return command.run(options)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"run.py: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
