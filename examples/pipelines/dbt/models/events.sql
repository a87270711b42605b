-- What the source of a stage reads: `query: FROM events`, `cursor: ts`.
{{ config(materialized='table') }}
SELECT 'user-' || k % 40 AS "user", 'sku-' || k % 23 AS item, TIMESTAMP '2026-01-01' + INTERVAL (k) MINUTE AS ts
FROM range(1200) r(k)
