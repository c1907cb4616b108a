{{ config(materialized='ephemeral') }}
select customer from {{ ref('customers') }} where spent > 5
