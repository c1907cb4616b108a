-- What each client does again and again: reads by key, aggregates, adds a row in a transaction.
\set aid random(1, 10)
\set delta random(-5000, 5000)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
SELECT bid, count(*) AS accounts, sum(abalance) AS balance FROM pgbench_accounts WHERE bid > 1 GROUP BY bid ORDER BY bid;
BEGIN;
SELECT bid AS bid FROM pgbench_accounts WHERE aid = :aid \gset
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
