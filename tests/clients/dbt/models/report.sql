{{ config(materialized='table') }}
select o.order_id, o.customer from {{ ref('orders') }} o join {{ ref('big_spenders') }} b on b.customer = o.customer
