"""DuckDB behind the line protocol."""

import argparse
from pathlib import Path

import duckdb
from protocol import serve


def load(database: Path, parquet: Path) -> None:
    with duckdb.connect(database) as connection:
        for file in sorted(parquet.glob("*.parquet")):
            connection.execute(f"CREATE TABLE {file.stem} AS SELECT * FROM read_parquet('{file}')")
        connection.execute("ANALYZE")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("database", type=Path)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--load", type=Path)
    given = parser.parse_args()
    if given.load:
        return load(given.database, given.load)
    config = {"threads": given.threads}
    if given.memory:
        config["memory_limit"] = f"{given.memory >> 20}MiB"
    connection = duckdb.connect(given.database, read_only=True, config=config)
    serve(duckdb.__version__, given.queries, lambda text: connection.execute(text).to_arrow_table())


if __name__ == "__main__":
    main()
