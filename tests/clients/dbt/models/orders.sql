{{ config(materialized='view') }}
select id as order_id, customer, coalesce(price, 0) as price, date_trunc('month', sold)::date as month
from {{ ref('raw_orders') }}
