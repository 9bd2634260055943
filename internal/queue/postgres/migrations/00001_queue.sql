-- +goose Up
-- +goose StatementBegin

-- What every job has that changes, in whatever state it is. A job has exactly one row, in exactly
-- one of the four tables that are made like this one: ready, leases, waiting, ended.
CREATE TABLE longshore.record (
    place         bigint      NOT NULL, -- in line, and for as long as the job exists
    id            uuid        NOT NULL,
    lane          integer     NOT NULL,
    state         smallint    NOT NULL, -- 1 scheduled, 2 blocked, 3 pending, 4 running, 5 finished, 6 failed, 7 canceled
    rank          smallint    NOT NULL, -- 0 for the highest priority
    version       bigint      NOT NULL,
    attempt       bigint      NOT NULL DEFAULT 0,
    retries       bigint      NOT NULL DEFAULT 0,
    failures      bigint      NOT NULL DEFAULT 0,
    timeouts      bigint      NOT NULL DEFAULT 0,
    generation    bigint      NOT NULL DEFAULT 0,
    open          bigint      NOT NULL DEFAULT 0, -- dependencies that are not over
    queued        timestamptz NOT NULL,
    started       timestamptz,
    finished      timestamptz,
    run_at        timestamptz,
    expires_at    timestamptz,
    worker        text        NOT NULL DEFAULT '',
    by_dependency boolean     NOT NULL DEFAULT false,
    ties          smallint    NOT NULL DEFAULT 0 -- 1 has dependents, 2 has a unique key, 4 has reported progress
);

-- Jobs that are ready, in the order in which they are handed out. Rows are inserted and deleted,
-- never updated.
CREATE TABLE longshore.ready (
    LIKE longshore.record INCLUDING DEFAULTS,
    PRIMARY KEY (lane, rank, place)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_scale_factor = 0.2,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX ready_expires_at ON longshore.ready (expires_at) WHERE expires_at IS NOT NULL;

-- Jobs that are running. A token is the place of its job, in its first six bytes, and this secret.
-- Pages are not filled, so that heartbeats, which change no index, find room beside the old row.
CREATE TABLE longshore.leases (
    LIKE longshore.record INCLUDING DEFAULTS,
    secret            uuid        NOT NULL,
    beat              timestamptz NOT NULL,
    timeout           bigint,      -- nanoseconds
    heartbeat_timeout bigint,      -- nanoseconds
    deadline          timestamptz, -- of the run
    PRIMARY KEY (place)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX leases_deadline ON longshore.leases (deadline) WHERE deadline IS NOT NULL;

-- Jobs that are scheduled or blocked.
CREATE TABLE longshore.waiting (
    LIKE longshore.record INCLUDING DEFAULTS,
    PRIMARY KEY (place)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX waiting_run_at ON longshore.waiting (run_at) WHERE state = 1;
CREATE INDEX waiting_expires_at ON longshore.waiting (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX waiting_id ON longshore.waiting (id);

-- Jobs that are over, with what became of them and of their last lease.
CREATE TABLE longshore.ended (
    LIKE longshore.record INCLUDING DEFAULTS,
    secret  uuid,     -- of the last lease; null if it was over before that one, or had none
    how     smallint, -- 1 reported, 2 lost, 3 released, 4 canceled, 5 timed out
    digest  bytea,    -- of what was reported
    result  bytea,
    reason  text,
    details bytea,
    hidden  boolean NOT NULL DEFAULT false, -- deleted, but a dependent that is not over needs it
    PRIMARY KEY (place)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX ended_dead ON longshore.ended (id) WHERE state IN (6, 7);
CREATE INDEX ended_hidden ON longshore.ended (place) WHERE hidden;

DROP TABLE longshore.record;

-- Every job, wherever it stands.
CREATE VIEW longshore.records AS
    SELECT place, id, lane, state, rank, version, attempt, retries, failures, timeouts, generation, open, queued, started,
           finished, run_at, expires_at, worker, by_dependency, ties, false AS hidden FROM longshore.ready
    UNION ALL
    SELECT place, id, lane, state, rank, version, attempt, retries, failures, timeouts, generation, open, queued, started,
           finished, run_at, expires_at, worker, by_dependency, ties, false FROM longshore.leases
    UNION ALL
    SELECT place, id, lane, state, rank, version, attempt, retries, failures, timeouts, generation, open, queued, started,
           finished, run_at, expires_at, worker, by_dependency, ties, false FROM longshore.waiting
    UNION ALL
    SELECT place, id, lane, state, rank, version, attempt, retries, failures, timeouts, generation, open, queued, started,
           finished, run_at, expires_at, worker, by_dependency, ties, hidden FROM longshore.ended;

CREATE SEQUENCE longshore.places;

CREATE TABLE longshore.lanes (
    number  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    type    text COLLATE "C" NOT NULL,
    UNIQUE (channel, type)
);

-- What was given at Enqueue. Only labels and rank, which is that of the job's present priority, can
-- be changed.
CREATE TABLE longshore.jobs (
    place             bigint   NOT NULL PRIMARY KEY,
    id                uuid     NOT NULL UNIQUE,
    lane              integer  NOT NULL,
    rank              smallint NOT NULL,
    edges             integer  NOT NULL DEFAULT 0, -- how many dependencies it has
    timeout           bigint,  -- nanoseconds
    heartbeat_timeout bigint,  -- nanoseconds
    trace_parent      text,
    labels            jsonb,
    terms             jsonb,   -- what few jobs have
    args              bytea    NOT NULL
);

CREATE TABLE longshore.edges (
    dependent     bigint   NOT NULL, -- the job that has the dependency
    ordinal       integer  NOT NULL,
    dependency    bigint   NOT NULL,
    dependency_id uuid     NOT NULL,
    succeeded     boolean  NOT NULL, -- whether it must have succeeded
    name          text     NOT NULL DEFAULT '',
    gone_state    smallint, -- that the dependency was in when it was deleted
    gone_type     text,
    PRIMARY KEY (dependent, ordinal)
);
CREATE INDEX edges_dependency ON longshore.edges (dependency, dependent);

-- Leases that ended before their job did.
CREATE TABLE longshore.attempts (
    place   bigint      NOT NULL,
    number  bigint      NOT NULL,
    secret  uuid        NOT NULL,
    worker  text        NOT NULL,
    started timestamptz NOT NULL,
    ended   timestamptz NOT NULL,
    how     smallint    NOT NULL,
    state   smallint    NOT NULL,
    digest  bytea,
    reason  text,
    details bytea,
    PRIMARY KEY (place, number)
);

-- What the newest lease's worker has reported so far.
CREATE TABLE longshore.reported (
    place       bigint  NOT NULL PRIMARY KEY,
    progress    boolean NOT NULL,
    percent     double precision,
    message     bytea   NOT NULL DEFAULT '',
    partial     bytea
);

-- Jobs that are not over and have a unique key.
CREATE TABLE longshore.unique_keys (
    lane  integer NOT NULL,
    key   text COLLATE "C" NOT NULL,
    place bigint  NOT NULL,
    PRIMARY KEY (lane, key)
);

-- Calls that were made with an idempotency key, and what they were answered.
CREATE TABLE longshore.calls (
    hash     bytea       NOT NULL PRIMARY KEY,
    digest   bytea       NOT NULL,
    until    timestamptz NOT NULL,
    jobs     uuid[],   -- that were added
    answered bytea,    -- how, as JSON, unless all of them were pending
    places   bigint[], -- of the leases that were granted
    secrets  uuid[]
);
CREATE INDEX calls_until ON longshore.calls (until);

-- How many jobs each lane has in each state: what stands here, and the differences to it. Every
-- change adds differences of its own, so that no two wait for each other; they are folded together
-- every few seconds.
CREATE TABLE longshore.counts (
    lane integer PRIMARY KEY,
    scheduled bigint NOT NULL, blocked bigint NOT NULL, pending bigint NOT NULL, running bigint NOT NULL,
    finished bigint NOT NULL, failed bigint NOT NULL, canceled bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE longshore.count_differences (
    lane integer NOT NULL,
    scheduled bigint NOT NULL DEFAULT 0, blocked bigint NOT NULL DEFAULT 0, pending bigint NOT NULL DEFAULT 0,
    running bigint NOT NULL DEFAULT 0, finished bigint NOT NULL DEFAULT 0, failed bigint NOT NULL DEFAULT 0,
    canceled bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);

-- What was changed lately, by each transaction: servers read here what the others did.
CREATE TABLE longshore.changes (
    xact     xid8        NOT NULL,
    part     smallint    NOT NULL, -- 0, unless a transaction has several
    server   uuid        NOT NULL,
    at       timestamptz NOT NULL,
    ids      uuid[]      NOT NULL,
    places   bigint[]    NOT NULL,
    lanes    integer[]   NOT NULL,
    ranks    smallint[]  NOT NULL,
    was      smallint[]  NOT NULL, -- the state before; 0 for a job that is new
    states   smallint[]  NOT NULL,
    attempts bigint[]    NOT NULL,
    versions bigint[]    NOT NULL,
    deleted  boolean     NOT NULL, -- all of them
    PRIMARY KEY (xact, part)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);

-- They are read once and soon deleted: not worth compressing.
ALTER TABLE longshore.changes ALTER ids SET STORAGE EXTERNAL, ALTER places SET STORAGE EXTERNAL, ALTER lanes SET STORAGE EXTERNAL,
    ALTER ranks SET STORAGE EXTERNAL, ALTER was SET STORAGE EXTERNAL, ALTER states SET STORAGE EXTERNAL,
    ALTER attempts SET STORAGE EXTERNAL, ALTER versions SET STORAGE EXTERNAL;

CREATE TABLE longshore.servers (
    id   uuid        NOT NULL PRIMARY KEY,
    seen timestamptz NOT NULL
);

-- Who asked for jobs lately, as each server tells of those that asked there.
CREATE TABLE longshore.workers (
    name     text        NOT NULL,
    server   uuid        NOT NULL,
    first    timestamptz NOT NULL,
    last     timestamptz NOT NULL,
    waiting  integer     NOT NULL,
    types    text[]      NOT NULL,
    channels text[]      NOT NULL,
    labels   jsonb,
    PRIMARY KEY (name, server)
);

-- The only clock that counts.
CREATE FUNCTION longshore.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

-- The id of a job that is enqueued at a time, in microseconds since 1970, and has a place: see
-- queue.NewID.
CREATE FUNCTION longshore.job_id(micros bigint, place bigint) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex(((micros / 1000) << 16) | 28672 | (((micros % 1000) << 12) / 1000)), 16, '0')
        || to_hex((-9223372036854775808)::bigint | ((place & 16777215) << 38) | floor(random() * 274877906944)::bigint))::uuid
$$;

-- +goose StatementEnd
