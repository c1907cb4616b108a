"""Spark behind the line protocol."""

import argparse
from pathlib import Path

import pyspark
from protocol import serve
from pyspark.sql import SparkSession


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parquet", type=Path)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory", type=int, required=True)
    given = parser.parse_args()
    builder = SparkSession.builder.master(f"local[{given.threads}]").appName("rivals")
    settings = {
        "spark.driver.memory": f"{given.memory >> 20}m",
        # 200 is for clusters.
        "spark.sql.shuffle.partitions": given.threads,
        "spark.ui.enabled": False,
        "spark.ui.showConsoleProgress": False,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    for file in sorted(given.parquet.glob("*.parquet")):
        session.read.parquet(str(file)).createOrReplaceTempView(file.stem)
    serve(pyspark.__version__, given.queries, lambda text: session.sql(text).toArrow())


if __name__ == "__main__":
    main()
