"""pgcli without a terminal: its statements and backslash commands, and what it reads to complete."""

from functools import partial
from urllib.parse import urlparse

from pgcli.completion_refresher import CompletionRefresher
from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from shop import ITEMS, SCHEMA, URL, run

SERVER = urlparse(URL)


def output(executor, statement):
    """Titles, headers, rows and statuses, as text; an error is raised."""
    text = []
    for title, rows, headers, status, *_ in executor.run(
        statement, PGSpecial(), on_error_resume=False
    ):
        lines = [str(value) for row in rows or [] for value in row]
        text.append(" ".join([str(title), *(headers or []), *lines, str(status)]))
    return " ".join(text)


def runs_statements(executor):
    for _, name, price, _ in ITEMS:
        text = output(executor, f"SELECT name, price FROM shop.item WHERE name = '{name}';")
        assert name in text and str(price) in text and "SELECT 1" in text, text
    text = output(executor, "BEGIN; SELECT 1 AS one; COMMIT;")
    assert "one" in text and "COMMIT" in text, text
    try:
        output(executor, "SELECT missing FROM shop.item;")
        raise AssertionError("no error")
    except Exception as error:
        assert 'column "missing" does not exist' in str(error), error


def runs_backslash_commands(executor):
    for command, wanted in (
        ("\\dt shop.*", ["every_type", "item", "table"]),
        ("\\dt+ shop.*", ["what is for sale"]),
        ("\\d shop.item", ["character varying(40)", "item_pkey", "item_price_check", "item_sold"]),
        ("\\d+ shop.item", ["in euros"]),
        ("\\d shop.cheap", ["name"]),
        ("\\dv shop.*", ["cheap", "view"]),
        ("\\di shop.*", ["item_sold", "index"]),
        ("\\dn", ["shop"]),
        ("\\l", ["UTF8"]),
        ("\\du", [SERVER.username]),
        ("\\df", []),
        ("\\dT", []),
        ("\\dx", []),
        ("\\db", ["pg_default"]),
        ("\\dm", []),
        ("\\ds", []),
        ("\\dp shop.item", ["item"]),
        ("\\ddp", []),
        ("\\dD", []),
    ):
        text = output(executor, command)
        missing = [word for word in wanted if word not in text]
        assert not missing, (command, missing, text)

    # What \\ev opens in an editor.
    assert "SELECT" in executor.view_definition("shop.cheap").upper()


def completes(executor):
    completers = []
    refresher = CompletionRefresher()
    # In this thread, so that an error is one.
    refresher._bg_refresh(
        executor, PGSpecial(), completers.append, settings={"single_connection": True}
    )
    completer = completers[0]
    for text, wanted in (
        ("SELECT * FROM shop.i", "item"),
        ("SELECT * FROM shop.c", "cheap"),
        ("SELECT item.p FROM shop.item", "price"),
        ("SELECT * FROM sho", "shop"),
    ):
        position = text.index(".p ") + 2 if ".p " in text else len(text)
        found = completer.get_completions(Document(text, position), CompleteEvent())
        names = [completion.text for completion in found]
        assert wanted in names, (text, names)


def main():
    executor = PGExecute(SERVER.path[1:], SERVER.username, "", SERVER.hostname, SERVER.port, None)
    output(executor, SCHEMA)
    parts = (runs_statements, runs_backslash_commands, completes)
    run(*((part.__name__, partial(part, executor)) for part in parts))


main()
