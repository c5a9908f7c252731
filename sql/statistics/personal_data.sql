-- name: year_shares
SELECT year, created_at FROM year_shares WHERE user_id = %(user_id)s ORDER BY year
