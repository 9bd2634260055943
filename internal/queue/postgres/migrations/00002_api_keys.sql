-- +goose Up
-- +goose StatementBegin

-- Which programs can work with this schema: those that were made for this version of it, or a later
-- one. A step that the programs before it cannot live with raises the number; one that only adds
-- something leaves it as it is.
CREATE TABLE longshore.compatibility (least bigint NOT NULL);
INSERT INTO longshore.compatibility (least) VALUES (1);

-- API keys: everything but their secrets.
CREATE TABLE longshore.api_keys (
    id        text COLLATE "C" NOT NULL PRIMARY KEY,
    name      text COLLATE "C" NOT NULL,
    hash      bytea       NOT NULL CHECK (octet_length(hash) = 32), -- of the secret: SHA-256
    scopes    text[]      NOT NULL,
    channels  text[]      NOT NULL, -- none is all
    created   timestamptz NOT NULL,
    expires   timestamptz,
    last_used timestamptz
) WITH (fillfactor = 70);
CREATE INDEX api_keys_name ON longshore.api_keys (name);

-- +goose StatementEnd
