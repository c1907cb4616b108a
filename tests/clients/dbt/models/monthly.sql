{{ config(materialized='incremental', incremental_strategy='append') }}
select month, sum(price) as turnover
from {{ ref('orders') }}
{% if is_incremental() %}
where month > (select max(month) from {{ this }})
{% endif %}
group by month
