-- The joins of TPC-H's queries, with what the queries say of the tables in them: from two tables to all
-- of a query's. Each begins with its query's number; what follows stands behind FROM.

2 part, partsupp WHERE p_partkey = ps_partkey AND p_size = 15 AND p_type LIKE '%BRASS'
2 supplier, nation WHERE s_nationkey = n_nationkey
2 nation, region WHERE n_regionkey = r_regionkey AND r_name = 'EUROPE'
2 supplier, nation, region WHERE s_nationkey = n_nationkey AND n_regionkey = r_regionkey
  AND r_name = 'EUROPE'
2 partsupp, supplier, nation, region WHERE s_suppkey = ps_suppkey AND s_nationkey = n_nationkey
  AND n_regionkey = r_regionkey AND r_name = 'EUROPE'
2 part, supplier, partsupp WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size = 15
  AND p_type LIKE '%BRASS'
2 part, supplier, partsupp, nation, region WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey
  AND p_size = 15 AND p_type LIKE '%BRASS' AND s_nationkey = n_nationkey
  AND n_regionkey = r_regionkey AND r_name = 'EUROPE'
2 part, supplier, partsupp, nation, region WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey
  AND p_size = 15 AND p_type LIKE '%BRASS' AND s_nationkey = n_nationkey
  AND n_regionkey = r_regionkey AND r_name = 'EUROPE' AND ps_supplycost = (
    SELECT min(ps_supplycost) FROM partsupp, supplier, nation, region
    WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey
      AND n_regionkey = r_regionkey AND r_name = 'EUROPE')

3 customer, orders WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey
  AND o_orderdate < date '1995-03-15'
3 orders, lineitem WHERE l_orderkey = o_orderkey AND o_orderdate < date '1995-03-15'
  AND l_shipdate > date '1995-03-15'
3 customer, orders, lineitem WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey
  AND l_orderkey = o_orderkey AND o_orderdate < date '1995-03-15' AND l_shipdate > date '1995-03-15'

4 orders WHERE o_orderdate >= date '1993-07-01'
  AND o_orderdate < date '1993-07-01' + interval '3' month
  AND EXISTS (SELECT * FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)

5 customer, orders WHERE c_custkey = o_custkey AND o_orderdate >= date '1994-01-01'
  AND o_orderdate < date '1994-01-01' + interval '1' year
5 orders, lineitem WHERE l_orderkey = o_orderkey AND o_orderdate >= date '1994-01-01'
  AND o_orderdate < date '1994-01-01' + interval '1' year
5 supplier, nation, region WHERE s_nationkey = n_nationkey AND n_regionkey = r_regionkey
  AND r_name = 'ASIA'
5 customer, nation, region WHERE c_nationkey = n_nationkey AND n_regionkey = r_regionkey
  AND r_name = 'ASIA'
5 customer, orders, lineitem WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey
  AND o_orderdate >= date '1994-01-01' AND o_orderdate < date '1994-01-01' + interval '1' year
5 customer, orders, lineitem, supplier WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey
  AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey AND o_orderdate >= date '1994-01-01'
  AND o_orderdate < date '1994-01-01' + interval '1' year
5 customer, orders, lineitem, supplier, nation, region WHERE c_custkey = o_custkey
  AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey
  AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'ASIA'
  AND o_orderdate >= date '1994-01-01' AND o_orderdate < date '1994-01-01' + interval '1' year

7 supplier, nation n1 WHERE s_nationkey = n1.n_nationkey AND n1.n_name IN ('FRANCE', 'GERMANY')
7 supplier, lineitem WHERE s_suppkey = l_suppkey
  AND l_shipdate BETWEEN date '1995-01-01' AND date '1996-12-31'
7 supplier, lineitem, nation n1 WHERE s_suppkey = l_suppkey AND s_nationkey = n1.n_nationkey
  AND n1.n_name IN ('FRANCE', 'GERMANY')
  AND l_shipdate BETWEEN date '1995-01-01' AND date '1996-12-31'
7 customer, nation n2 WHERE c_nationkey = n2.n_nationkey AND n2.n_name IN ('FRANCE', 'GERMANY')
7 orders, customer, nation n2 WHERE c_custkey = o_custkey AND c_nationkey = n2.n_nationkey
  AND n2.n_name IN ('FRANCE', 'GERMANY')
7 supplier, lineitem, orders, nation n1 WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey
  AND s_nationkey = n1.n_nationkey AND n1.n_name IN ('FRANCE', 'GERMANY')
  AND l_shipdate BETWEEN date '1995-01-01' AND date '1996-12-31'
7 supplier, lineitem, orders, customer WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey
  AND c_custkey = o_custkey AND l_shipdate BETWEEN date '1995-01-01' AND date '1996-12-31'
7 supplier, lineitem, orders, customer, nation n1, nation n2 WHERE s_suppkey = l_suppkey
  AND o_orderkey = l_orderkey AND c_custkey = o_custkey AND s_nationkey = n1.n_nationkey
  AND c_nationkey = n2.n_nationkey AND ((n1.n_name = 'FRANCE' AND n2.n_name = 'GERMANY')
    OR (n1.n_name = 'GERMANY' AND n2.n_name = 'FRANCE'))
  AND l_shipdate BETWEEN date '1995-01-01' AND date '1996-12-31'

8 part, lineitem WHERE p_partkey = l_partkey AND p_type = 'ECONOMY ANODIZED STEEL'
8 part, lineitem, supplier WHERE p_partkey = l_partkey AND s_suppkey = l_suppkey
  AND p_type = 'ECONOMY ANODIZED STEEL'
8 part, lineitem, orders WHERE p_partkey = l_partkey AND l_orderkey = o_orderkey
  AND o_orderdate BETWEEN date '1995-01-01' AND date '1996-12-31'
  AND p_type = 'ECONOMY ANODIZED STEEL'
8 part, lineitem, orders, customer WHERE p_partkey = l_partkey AND l_orderkey = o_orderkey
  AND o_custkey = c_custkey AND o_orderdate BETWEEN date '1995-01-01' AND date '1996-12-31'
  AND p_type = 'ECONOMY ANODIZED STEEL'
8 customer, nation n1, region WHERE c_nationkey = n1.n_nationkey AND n1.n_regionkey = r_regionkey
  AND r_name = 'AMERICA'
8 part, supplier, lineitem, orders, customer, nation n1, nation n2, region
  WHERE p_partkey = l_partkey AND s_suppkey = l_suppkey AND l_orderkey = o_orderkey
  AND o_custkey = c_custkey AND c_nationkey = n1.n_nationkey AND n1.n_regionkey = r_regionkey
  AND r_name = 'AMERICA' AND s_nationkey = n2.n_nationkey
  AND o_orderdate BETWEEN date '1995-01-01' AND date '1996-12-31'
  AND p_type = 'ECONOMY ANODIZED STEEL'

9 part, lineitem WHERE p_partkey = l_partkey AND p_name LIKE '%green%'
9 lineitem, partsupp WHERE ps_suppkey = l_suppkey AND ps_partkey = l_partkey
9 part, lineitem, partsupp WHERE ps_suppkey = l_suppkey AND ps_partkey = l_partkey
  AND p_partkey = l_partkey AND p_name LIKE '%green%'
9 part, supplier, lineitem, partsupp WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey
  AND ps_partkey = l_partkey AND p_partkey = l_partkey AND p_name LIKE '%green%'
9 part, supplier, lineitem, partsupp, orders WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey
  AND ps_partkey = l_partkey AND p_partkey = l_partkey AND o_orderkey = l_orderkey
  AND p_name LIKE '%green%'
9 part, supplier, lineitem, partsupp, orders, nation WHERE s_suppkey = l_suppkey
  AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey AND p_partkey = l_partkey
  AND o_orderkey = l_orderkey AND s_nationkey = n_nationkey AND p_name LIKE '%green%'

10 customer, orders WHERE c_custkey = o_custkey AND o_orderdate >= date '1993-10-01'
  AND o_orderdate < date '1993-10-01' + interval '3' month
10 orders, lineitem WHERE l_orderkey = o_orderkey AND o_orderdate >= date '1993-10-01'
  AND o_orderdate < date '1993-10-01' + interval '3' month AND l_returnflag = 'R'
10 customer, orders, lineitem WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey
  AND o_orderdate >= date '1993-10-01' AND o_orderdate < date '1993-10-01' + interval '3' month
  AND l_returnflag = 'R'
10 customer, orders, lineitem, nation WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey
  AND o_orderdate >= date '1993-10-01' AND o_orderdate < date '1993-10-01' + interval '3' month
  AND l_returnflag = 'R' AND c_nationkey = n_nationkey

11 supplier, nation WHERE s_nationkey = n_nationkey AND n_name = 'GERMANY'
11 partsupp, supplier WHERE ps_suppkey = s_suppkey
11 partsupp, supplier, nation WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey
  AND n_name = 'GERMANY'

12 orders, lineitem WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP')
  AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate
  AND l_receiptdate >= date '1994-01-01' AND l_receiptdate < date '1994-01-01' + interval '1' year

13 customer LEFT JOIN orders ON c_custkey = o_custkey
  AND o_comment NOT LIKE '%special%requests%'

14 lineitem, part WHERE l_partkey = p_partkey AND l_shipdate >= date '1995-09-01'
  AND l_shipdate < date '1995-09-01' + interval '1' month

15 supplier, (SELECT l_suppkey AS supplier_no, sum(l_extendedprice * (1 - l_discount)) AS total
    FROM lineitem WHERE l_shipdate >= date '1996-01-01'
      AND l_shipdate < date '1996-01-01' + interval '3' month GROUP BY l_suppkey) AS revenue
  WHERE s_suppkey = supplier_no

16 partsupp, part WHERE p_partkey = ps_partkey AND p_brand <> 'Brand#45'
  AND p_type NOT LIKE 'MEDIUM POLISHED%' AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)
16 partsupp WHERE ps_suppkey NOT IN (
    SELECT s_suppkey FROM supplier WHERE s_comment LIKE '%Customer%Complaints%')
16 partsupp, part WHERE p_partkey = ps_partkey AND p_brand <> 'Brand#45'
  AND p_type NOT LIKE 'MEDIUM POLISHED%' AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)
  AND ps_suppkey NOT IN (
    SELECT s_suppkey FROM supplier WHERE s_comment LIKE '%Customer%Complaints%')

17 lineitem, part WHERE p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container = 'MED BOX'
17 lineitem, part WHERE p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container = 'MED BOX'
  AND l_quantity < (SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)

18 customer, orders WHERE c_custkey = o_custkey
18 customer, orders, lineitem WHERE c_custkey = o_custkey AND o_orderkey = l_orderkey
18 orders WHERE o_orderkey IN (
    SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 300)
18 customer, orders WHERE c_custkey = o_custkey AND o_orderkey IN (
    SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 300)
18 customer, orders, lineitem WHERE c_custkey = o_custkey AND o_orderkey = l_orderkey
  AND o_orderkey IN (
    SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 300)

19 lineitem, part WHERE
  (p_partkey = l_partkey AND p_brand = 'Brand#12'
    AND p_container IN ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG')
    AND l_quantity >= 1 AND l_quantity <= 1 + 10 AND p_size BETWEEN 1 AND 5
    AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')
  OR (p_partkey = l_partkey AND p_brand = 'Brand#23'
    AND p_container IN ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK')
    AND l_quantity >= 10 AND l_quantity <= 10 + 10 AND p_size BETWEEN 1 AND 10
    AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')
  OR (p_partkey = l_partkey AND p_brand = 'Brand#34'
    AND p_container IN ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG')
    AND l_quantity >= 20 AND l_quantity <= 20 + 10 AND p_size BETWEEN 1 AND 15
    AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')

20 partsupp WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')
20 partsupp WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')
  AND ps_availqty > (SELECT 0.5 * sum(l_quantity) FROM lineitem
    WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey AND l_shipdate >= date '1994-01-01'
      AND l_shipdate < date '1994-01-01' + interval '1' year)
20 supplier, nation WHERE s_nationkey = n_nationkey AND n_name = 'CANADA'
20 supplier, nation WHERE s_suppkey IN (SELECT ps_suppkey FROM partsupp
    WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')
      AND ps_availqty > (SELECT 0.5 * sum(l_quantity) FROM lineitem
        WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey
          AND l_shipdate >= date '1994-01-01'
          AND l_shipdate < date '1994-01-01' + interval '1' year))
  AND s_nationkey = n_nationkey AND n_name = 'CANADA'

21 supplier, nation WHERE s_nationkey = n_nationkey AND n_name = 'SAUDI ARABIA'
21 orders, lineitem l1 WHERE o_orderkey = l1.l_orderkey AND o_orderstatus = 'F'
  AND l1.l_receiptdate > l1.l_commitdate
21 supplier, lineitem l1, nation WHERE s_suppkey = l1.l_suppkey
  AND l1.l_receiptdate > l1.l_commitdate AND s_nationkey = n_nationkey AND n_name = 'SAUDI ARABIA'
21 supplier, lineitem l1, orders, nation WHERE s_suppkey = l1.l_suppkey
  AND o_orderkey = l1.l_orderkey AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate
  AND s_nationkey = n_nationkey AND n_name = 'SAUDI ARABIA'
21 lineitem l1 WHERE l1.l_receiptdate > l1.l_commitdate AND EXISTS (SELECT * FROM lineitem l2
    WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
21 lineitem l1 WHERE l1.l_receiptdate > l1.l_commitdate AND NOT EXISTS (SELECT * FROM lineitem l3
    WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey
      AND l3.l_receiptdate > l3.l_commitdate)
21 supplier, lineitem l1, orders, nation WHERE s_suppkey = l1.l_suppkey
  AND o_orderkey = l1.l_orderkey AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate
  AND EXISTS (SELECT * FROM lineitem l2
    WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
  AND NOT EXISTS (SELECT * FROM lineitem l3
    WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey
      AND l3.l_receiptdate > l3.l_commitdate)
  AND s_nationkey = n_nationkey AND n_name = 'SAUDI ARABIA'

22 customer WHERE substring(c_phone from 1 for 2) IN ('13', '31', '23', '29', '30', '18', '17')
  AND c_acctbal > (SELECT avg(c_acctbal) FROM customer WHERE c_acctbal > 0.00
    AND substring(c_phone from 1 for 2) IN ('13', '31', '23', '29', '30', '18', '17'))
  AND NOT EXISTS (SELECT * FROM orders WHERE o_custkey = c_custkey)
