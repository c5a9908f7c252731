-- Whether a spreadsheet would take a text for a formula, or it begins like one that is guarded from
-- that. (Looking at the first letter's number first spares most texts the regular expression.)
CREATE OR REPLACE FUNCTION is_formula(_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ascii(_text) BETWEEN 9 AND 64 AND _text ~ '^''*[=+\-@\t\r\n]'
$$;

-- As it goes into a CSV file: with a ' in front where a spreadsheet needs it; the import takes exactly
-- one off.
CREATE OR REPLACE FUNCTION guarded(_text text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN is_formula(_text) THEN '''' || _text ELSE _text END
$$;
