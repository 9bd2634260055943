-- +goose Up
-- +goose StatementBegin

-- Who asked for a lease, as its credential tells; empty where nobody was asked for one, and of leases
-- that were granted before. A constant default rewrites no table; and programs before this step leave
-- the column out, and go on.
ALTER TABLE longshore.leases ADD COLUMN principal text NOT NULL DEFAULT '';
ALTER TABLE longshore.ended ADD COLUMN principal text NOT NULL DEFAULT '';
ALTER TABLE longshore.attempts ADD COLUMN principal text NOT NULL DEFAULT '';

-- +goose StatementEnd
