"""pgcli in a terminal of its own: its completion asks the catalogs in the background."""

import re
import sys

import pexpect

from shop import SCHEMA, URL


def main():
    pgcli = sys.argv[2]
    command = f"{pgcli} --pgclirc /dev/null --less-chatty --no-warn {URL}"
    terminal = pexpect.spawn(command, dimensions=(50, 180), encoding="utf-8", timeout=30, env={
        "TERM": "xterm", "PAGER": "cat", "HOME": "/tmp/pgcli-home", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8",
    })
    said = []
    terminal.logfile_read = type("Log", (), {"write": lambda _, text: said.append(text), "flush": lambda _: None})()
    terminal.expect(r"kestrel> ")

    def run(statement, wanted):
        terminal.send(statement + "\r")
        terminal.expect(wanted)
        terminal.expect(r"kestrel> ")

    try:
        for statement in re.sub(r"--.*", "", SCHEMA).split(";"):
            if statement.strip():
                run(" ".join(statement.split()) + ";", r"(CREATE|DROP|COMMENT|INSERT)\b[^;]*\r\n")
        run("SELECT name, price FROM shop.item ORDER BY id;", r"apple.*0\.50")
        run("\\dt shop.*", "every_type.*item")
        run("\\d shop.item", "item_price_check")
        run("\\dv shop.*", "cheap")
        run("\\l", "kestrel")
        run("\\dn", "shop")
        run("\\du", "kestrel")
        run("SELECT missing FROM shop.item;", 'column "missing" does not exist')
        # The names of tables, views and columns are there to complete.
        run("\\refresh", "Auto-completion refresh")
        terminal.expect(pexpect.TIMEOUT, timeout=2)
        terminal.send("SELECT * FROM shop.it\t")
        terminal.expect("item")
    except (pexpect.TIMEOUT, pexpect.EOF):
        print(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", "".join(said))[-3000:])
        raise
    text = "".join(said)
    assert "Traceback" not in text and "Error" not in text, text
    terminal.close(force=True)
    print("ok")


main()
