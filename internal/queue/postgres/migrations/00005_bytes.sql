-- +goose Up
-- +goose StatementBegin

-- How large the args are of the jobs of each lane that are not over, in bytes, counted as the jobs are.
-- Programs before this step leave bytes out: null stands for a difference that is not known. They fold
-- such differences into counts without a word, and lose those of others. So whoever folds bytes leaves the
-- number of its transaction beside them: if that is not the one that wrote the row last, or bytes is null,
-- they are not known, and are added up anew. Both columns are in both tables, since those programs
-- read them as one.
ALTER TABLE longshore.counts ADD COLUMN bytes bigint, ADD COLUMN folded xid;
ALTER TABLE longshore.count_differences ADD COLUMN bytes bigint, ADD COLUMN folded xid; -- which is always null here

-- +goose StatementEnd
