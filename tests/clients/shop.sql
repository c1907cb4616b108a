-- What every client's script works on. PostgreSQL 15 takes it as it is, too.
DROP SCHEMA IF EXISTS shop CASCADE;
CREATE SCHEMA shop;

CREATE TABLE shop.item (
    id bigint PRIMARY KEY,
    name varchar(40) NOT NULL,
    price numeric(10,2) DEFAULT 0,
    sold date,
    CONSTRAINT item_price_check CHECK (price >= 0),
    CONSTRAINT item_name_key UNIQUE (id, name)
);
CREATE INDEX item_sold ON shop.item (sold);
COMMENT ON TABLE shop.item IS 'what is for sale';
COMMENT ON COLUMN shop.item.price IS 'in euros';
CREATE VIEW shop.cheap AS SELECT id, name FROM shop.item WHERE price < 10;
INSERT INTO shop.item VALUES
    (1, 'apple', 0.50, '2024-01-31'), (2, 'bread', 3.25, NULL), (3, 'wine', 12.00, '2024-02-29');

CREATE TABLE shop.every_type (
    id integer PRIMARY KEY,
    a_boolean boolean,
    a_smallint smallint,
    a_integer integer,
    a_bigint bigint,
    a_real real,
    a_double double precision,
    a_numeric numeric(20,5),
    a_text text,
    a_varchar varchar(10),
    a_char char(5),
    a_bytea bytea,
    a_date date,
    a_time time,
    a_timestamp timestamp,
    a_timestamptz timestamptz,
    a_interval interval,
    a_uuid uuid
);
