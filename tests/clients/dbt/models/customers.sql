{{ config(materialized='table') }}
select customer, count(*) as orders, sum(price) as spent, max(month) as last_month
from {{ ref('orders') }}
group by customer
