DROP INDEX activities_user;  -- activities_owner serves what it did
