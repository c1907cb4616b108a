CREATE SCHEMA sales;
CREATE TABLE t (
    id bigserial PRIMARY KEY,
    a int NOT NULL DEFAULT 3,
    b numeric(15,2),
    c varchar(10),
    d char(3),
    e timestamptz,
    f text,
    UNIQUE (a, id)
);
CREATE TABLE sales."Order" (k int, "Value" double precision);
