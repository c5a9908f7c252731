-- A text as a spreadsheet shows it: one that it would take for a formula gets a ' in front, and so
-- does one that has such a ' already; the import takes exactly one off. (Looking at the first
-- letter's number first spares most texts the regular expression.)
CREATE OR REPLACE FUNCTION guarded(_text text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ascii(_text) BETWEEN 9 AND 64 AND _text ~ '^''*[=+\-@\t\r\n]'
                THEN '''' || _text ELSE _text END
$$;
