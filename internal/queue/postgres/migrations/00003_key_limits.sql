-- +goose Up
-- +goose StatementBegin

-- What an API key may do as much as, in place of what each server allows: null is the server's.
-- Programs that were made before leave them out, and hold every key to their own.
ALTER TABLE longshore.api_keys
    ADD COLUMN rate_limit  double precision, -- calls a second
    ADD COLUMN max_waiting integer;          -- calls that wait at the same time

-- +goose StatementEnd
