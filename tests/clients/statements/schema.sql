-- What the statements are about: the same in Kestrel and in PostgreSQL 15.
CREATE TABLE lineitem (
    l_orderkey bigint,
    l_quantity numeric(15,2) NOT NULL DEFAULT 1 CHECK (l_quantity > 0),
    l_shipdate date,
    l_comment varchar(44) DEFAULT 'none',
    PRIMARY KEY (l_orderkey)
);
CREATE INDEX lineitem_shipdate ON lineitem (l_shipdate);
COMMENT ON TABLE lineitem IS 'what was ordered';
COMMENT ON COLUMN lineitem.l_quantity IS 'how many';
INSERT INTO lineitem VALUES (1, 2.50, '1996-03-13', 'it''s'), (2, 3, NULL, NULL);
CREATE VIEW v AS SELECT l_orderkey, l_quantity FROM lineitem;
CREATE SCHEMA s2;
CREATE TABLE s2.t (a integer UNIQUE, b text);
