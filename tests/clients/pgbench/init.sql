-- The tables of pgbench's script: created by psql, filled by COPY, as PostgreSQL has them.
DROP TABLE IF EXISTS pgbench_history, pgbench_accounts;
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
COPY pgbench_accounts FROM STDIN;
1	1	0	\N
2	1	0	\N
3	1	0	\N
4	2	0	\N
5	2	0	\N
6	2	0	\N
7	3	0	\N
8	3	0	\N
9	3	0	\N
10	3	0	\N
\.
