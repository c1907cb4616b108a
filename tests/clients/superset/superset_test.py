"""Superset through its API: adds the database, browses it, runs SQL, draws charts, a dashboard.

Arguments: the server's URL, Superset's address. Prints the dashboard's path before `ok`.
"""

import json
import random
import sys

import psycopg2
import psycopg2.extras
import requests

URL, SUPERSET = sys.argv[1:3]
REGIONS = ("Africa", "America", "Asia", "Europe")
PRODUCTS = ("copper", "paper", "salt", "silk", "tin")


class Superset:
    """Its API, as the browser uses it."""

    def __init__(self):
        self.session = requests.Session()
        token = self.post(
            "/api/v1/security/login", username="admin", password="admin", provider="db"
        )
        self.session.headers["Authorization"] = f"Bearer {token['access_token']}"

    def post(self, path, **body):
        return self.answer(self.session.post(SUPERSET + path, json=body, timeout=120))

    def get(self, path):
        return self.answer(self.session.get(SUPERSET + path, timeout=120))

    def delete(self, path):
        return self.answer(self.session.delete(SUPERSET + path, timeout=120))

    @staticmethod
    def answer(response):
        assert (
            response.ok
        ), f"{response.request.method} {response.url}: {response.status_code} {response.text[:2000]}"
        return response.json()


def fill():
    """Three years of sales, the same in each run."""
    chance = random.Random(7)
    rows = [
        (
            i,
            chance.choice(REGIONS),
            chance.choice(PRODUCTS),
            f"{2021 + i % 36 // 12}-{i % 12 + 1:02}-{i % 28 + 1:02}",
            chance.randrange(100, 99_000) / 100,
        )
        for i in range(3000)
    ]
    with psycopg2.connect(URL) as connection, connection.cursor() as cursor:
        cursor.execute(
            "DROP TABLE IF EXISTS sale; CREATE TABLE sale (id int PRIMARY KEY, region varchar(20) NOT NULL, "
            "product text NOT NULL, sold date NOT NULL, amount numeric(12,2) NOT NULL);"
            "COMMENT ON COLUMN sale.amount IS 'in euros'"
        )
        psycopg2.extras.execute_values(cursor, "INSERT INTO sale VALUES %s", rows, page_size=1000)


def add_database(superset):
    uri = URL.replace("postgres://", "postgresql+psycopg2://")
    superset.post("/api/v1/database/test_connection/", sqlalchemy_uri=uri, database_name="shop")
    made = superset.post(
        "/api/v1/database/", sqlalchemy_uri=uri, database_name="shop", expose_in_sqllab=True
    )
    return made["id"]


def browses(superset, database):
    assert "public" in superset.get(f"/api/v1/database/{database}/schemas/")["result"]
    assert superset.get(f"/api/v1/database/{database}/catalogs/")["result"] is not None
    tables = superset.get(f"/api/v1/database/{database}/tables/?q=(schema_name:public)")["result"]
    assert "sale" in [table["value"] for table in tables], tables
    table = superset.get(f"/api/v1/database/{database}/table_metadata/?name=sale&schema=public")
    types = {column["name"]: column["longType"] for column in table["columns"]}
    assert types == {
        "id": "INTEGER",
        "region": "VARCHAR(20)",
        "product": "TEXT",
        "sold": "DATE",
        "amount": "NUMERIC(12, 2)",
    }, types
    superset.get(f"/api/v1/database/{database}/table_metadata/extra/?name=sale&schema=public")
    superset.get(f"/api/v1/database/{database}/function_names/")


def runs_sql(superset, database):
    def run(sql):
        return superset.post(
            "/api/v1/sqllab/execute/",
            database_id=database,
            sql=sql,
            schema="public",
            runAsync=False,
        )

    answer = run("SELECT region, sum(amount) AS turnover FROM sale GROUP BY region ORDER BY region")
    assert [row["region"] for row in answer["data"]] == list(REGIONS), answer
    try:
        run("SELECT missing FROM sale")
        raise RuntimeError("no error")
    except AssertionError as error:
        # Superset finds the column in the text of PostgreSQL's error.
        assert "COLUMN_DOES_NOT_EXIST_ERROR" in str(error) and "missing" in str(error), error
    try:
        superset.post(
            "/api/v1/sqllab/estimate/",
            database_id=database,
            sql="SELECT * FROM sale",
            schema="public",
            template_params={},
        )
    except AssertionError as error:
        # Off unless the administrator turned it on.
        assert "estimat" in str(error).lower(), error


def metric(label="turnover"):
    return {"expressionType": "SQL", "sqlExpression": "sum(amount)", "label": label}


def axis(grain=None):
    return {
        "columnType": "BASE_AXIS",
        "expressionType": "SQL",
        "label": "sold",
        "sqlExpression": "sold",
    } | ({"timeGrain": grain} if grain else {})


def reads_charts_data(superset, dataset):
    """The queries that charts make: time grains, filters, top values, pivots."""

    def data(**query):
        answer = superset.post(
            "/api/v1/chart/data",
            datasource={"id": dataset, "type": "table"},
            force=True,
            queries=[{"filters": [], "row_limit": 1000, "extras": {}} | query],
            result_format="json",
            result_type="full",
        )["result"][0]
        assert answer["error"] is None, answer
        return answer["data"]

    for grain, count in (("P1M", 36), ("P3M", 12), ("P1Y", 3), ("P1D", None), ("P1W", None)):
        rows = data(columns=[axis(grain)], metrics=[metric()], orderby=[[metric(), False]])
        assert count is None or len(rows) == count, (grain, len(rows))
    rows = data(
        columns=["region"],
        metrics=[
            metric(),
            {
                "expressionType": "SIMPLE",
                "aggregate": "COUNT_DISTINCT",
                "column": {"column_name": "product"},
                "label": "products",
            },
        ],
        filters=[
            {"col": "sold", "op": "TEMPORAL_RANGE", "val": "2022-01-01 : 2023-01-01"},
            {"col": "product", "op": "IN", "val": ["tin", "salt"]},
        ],
        orderby=[[metric(), False]],
    )
    assert sorted(row["region"] for row in rows) == list(REGIONS) and rows[0]["products"] == 2, rows
    rows = data(
        columns=["product"],
        metrics=[metric()],
        filters=[{"col": "product", "op": "ILIKE", "val": "S%"}],
        extras={"having": "sum(amount) > 1000"},
    )
    assert sorted(row["product"] for row in rows) == ["salt", "silk"], rows
    assert len(data(columns=["id", "region", "sold", "amount"], metrics=None, row_limit=100)) == 100


def draw(superset, dataset):
    """Three charts and a dashboard of them."""
    source = f"{dataset}__table"
    group = {"datasource": source, "metrics": [metric()], "row_limit": 1000, "adhoc_filters": []}
    time = group | {"x_axis": "sold", "time_grain_sqla": "P1M", "groupby": ["region"]}
    charts = [
        (
            "Turnover by month and region",
            "echarts_timeseries_bar",
            time | {"stack": "Stack", "viz_type": "echarts_timeseries_bar"},
        ),
        (
            "Turnover by product",
            "pie",
            group
            | {"metric": metric(), "groupby": ["product"], "viz_type": "pie", "show_labels": True},
        ),
        (
            "Regions and products",
            "pivot_table_v2",
            group
            | {
                "groupbyRows": ["region"],
                "groupbyColumns": ["product"],
                "viz_type": "pivot_table_v2",
                "aggregateFunction": "Sum",
                "metricsLayout": "COLUMNS",
                "rowTotals": True,
                "valueFormat": ",d",
            },
        ),
    ]
    ids = [
        superset.post(
            "/api/v1/chart/",
            slice_name=name,
            viz_type=kind,
            datasource_id=dataset,
            datasource_type="table",
            params=json.dumps(params),
        )["id"]
        for name, kind, params in charts
    ]
    layout = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {
            "type": "GRID",
            "id": "GRID_ID",
            "children": ["ROW-1", "ROW-2"],
            "parents": ["ROOT_ID"],
        },
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": "Sales"}},
    }
    for row, members in (("ROW-1", ids[:1]), ("ROW-2", ids[1:])):
        layout[row] = {
            "type": "ROW",
            "id": row,
            "children": [f"CHART-{i}" for i in members],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
            "parents": ["ROOT_ID", "GRID_ID"],
        }
        for i in members:
            layout[f"CHART-{i}"] = {
                "type": "CHART",
                "id": f"CHART-{i}",
                "children": [],
                "meta": {"chartId": i, "width": 12 // len(members), "height": 50},
                "parents": ["ROOT_ID", "GRID_ID", row],
            }
    dashboard = superset.post(
        "/api/v1/dashboard/",
        dashboard_title="Sales",
        published=True,
        position_json=json.dumps(layout),
    )["id"]
    for i in ids:
        Superset.answer(
            superset.session.put(
                f"{SUPERSET}/api/v1/chart/{i}", json={"dashboards": [dashboard]}, timeout=60
            )
        )
    return dashboard


def main():
    fill()
    superset = Superset()
    database = add_database(superset)
    for part in (browses, runs_sql):
        part(superset, database)
        print(part.__name__)
    dataset = superset.post(
        "/api/v1/dataset/", database=database, schema="public", table_name="sale"
    )["id"]
    reads_charts_data(superset, dataset)
    print("reads_charts_data")
    print(f"/superset/dashboard/{draw(superset, dataset)}/?standalone=1")
    print("ok")


main()
