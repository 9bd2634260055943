package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// checks find what is not as it should be: each statement returns a line of text for each
// difference.
func checks() []string {
	return []string{
		// Every job is in one state, and what stands of it in two places is the same.
		`SELECT format('job %s is in %s states, and should be in one', j.id, count(r.place))
	FROM longshore.jobs j LEFT JOIN longshore.records r ON r.place = j.place GROUP BY j.id HAVING count(r.place) <> 1`,
		`SELECT format('a job in state %s at place %s does not exist', r.state, r.place)
	FROM longshore.records r LEFT JOIN longshore.jobs j ON j.place = r.place WHERE j.place IS NULL`,
		`SELECT format('job %s has another id, lane or priority in its record', j.id)
	FROM longshore.jobs j JOIN longshore.records r ON r.place = j.place WHERE (r.id, r.lane, r.rank) <> (j.id, j.lane, j.rank)`,
		`SELECT format('job %s is of lane %s, which there is not', j.id, j.lane)
	FROM longshore.jobs j LEFT JOIN longshore.lanes l ON l.number = j.lane WHERE l.number IS NULL`,
		// The states are those of their tables.
		`SELECT format('job %s is ready, and in state %s', id, state) FROM longshore.ready WHERE state <> 3 OR open <> 0 OR started IS NOT NULL`,
		`SELECT format('job %s has a lease, and is in state %s', id, state) FROM longshore.leases WHERE state <> 4 OR started IS NULL OR attempt < 1`,
		`SELECT format('job %s waits, and is in state %s with %s open dependencies', id, state, open) FROM longshore.waiting
	WHERE state NOT IN (1, 2) OR (state = 2) <> (open > 0) OR state = 1 AND run_at IS NULL`,
		`SELECT format('job %s is over, and in state %s', id, state) FROM longshore.ended WHERE state NOT IN (5, 6, 7) OR finished IS NULL OR open <> 0`,
		`SELECT format('job %s has finished without a result, or with an error', id) FROM longshore.ended
	WHERE (state = 5) <> (result IS NOT NULL) OR (state = 6) <> (reason IS NOT NULL)`,
		// Dependencies.
		`SELECT format('job %s has %s dependencies, and %s are written down', j.id, j.edges, count(e.dependent))
	FROM longshore.jobs j JOIN longshore.records r ON r.place = j.place LEFT JOIN longshore.edges e ON e.dependent = j.place
	WHERE NOT r.hidden GROUP BY j.id, j.edges HAVING j.edges <> count(e.dependent)`,
		`SELECT format('job at place %s, which has a dependency, does not exist', e.dependent)
	FROM longshore.edges e LEFT JOIN longshore.jobs j ON j.place = e.dependent WHERE j.place IS NULL`,
		`SELECT format('job %s, which one depends on, %s', e.dependency_id, CASE WHEN j.place IS NULL THEN 'does not exist' ELSE 'exists, and is said to be gone' END)
	FROM longshore.edges e LEFT JOIN longshore.jobs j ON j.place = e.dependency WHERE (j.place IS NULL) <> (e.gone_state IS NOT NULL)`,
		`SELECT format('job %s has %s open dependencies, and %s are', r.id, r.open, count(d.place)) FROM longshore.records r
	LEFT JOIN longshore.edges e ON e.dependent = r.place LEFT JOIN longshore.records d ON d.place = e.dependency AND d.state < 5
	WHERE r.state < 5 GROUP BY r.id, r.open HAVING r.open <> count(d.place)`,
		`SELECT format('job %s waits although %s, which it depends on, decides against it', r.id, d.id) FROM longshore.waiting r
	JOIN longshore.edges e ON e.dependent = r.place AND e.succeeded JOIN longshore.ended d ON d.place = e.dependency AND d.state IN (6, 7)`,
		`SELECT format('job %s has dependents, and does not know it', d.id) FROM longshore.edges e
	JOIN longshore.records d ON d.place = e.dependency AND d.state < 5 AND d.ties & 1 = 0 GROUP BY d.id`,
		`SELECT format('job %s is deleted, and nobody needs it but a round of pruning', h.id) FROM longshore.ended h
	WHERE h.hidden AND EXISTS (SELECT 1 FROM longshore.edges e WHERE e.dependent = h.place)`,
		// What is tied to jobs.
		`SELECT format('job %s has a unique key, and is %s', r.id, CASE WHEN u.place IS NULL THEN 'not found by it' ELSE 'found by it without knowing' END)
	FROM longshore.records r FULL JOIN longshore.unique_keys u ON u.place = r.place
	WHERE (u.place IS NULL) <> (coalesce(r.ties, 0) & 2 = 0) OR u.place IS NOT NULL AND coalesce(r.state, 5) >= 5`,
		`SELECT format('the unique key %s is not that of job %s', u.key, j.id) FROM longshore.unique_keys u JOIN longshore.jobs j ON j.place = u.place
	WHERE j.terms->>'unique_key' IS DISTINCT FROM u.key OR j.lane <> u.lane`,
		`SELECT format('what job at place %s has reported is kept, and it is not so, or the other way round', coalesce(r.place, p.place))
	FROM longshore.records r FULL JOIN longshore.reported p ON p.place = r.place WHERE (p.place IS NULL) <> (coalesce(r.ties, 0) & 4 = 0)`,
		`SELECT format('attempt %s of job at place %s is kept, and the job is not, or has not come so far', a.number, a.place)
	FROM longshore.attempts a LEFT JOIN longshore.records r ON r.place = a.place WHERE r.place IS NULL OR r.attempt < a.number`,
		// Counts.
		`WITH counted AS (
	  SELECT lane, sum(scheduled) AS s1, sum(blocked) AS s2, sum(pending) AS s3, sum(running) AS s4, sum(finished) AS s5,
	    sum(failed) AS s6, sum(canceled) AS s7
	  FROM ` + counted + ` GROUP BY lane
	), present AS (
	  SELECT lane, count(*) FILTER (WHERE state = 1) AS s1, count(*) FILTER (WHERE state = 2) AS s2, count(*) FILTER (WHERE state = 3) AS s3,
	    count(*) FILTER (WHERE state = 4) AS s4, count(*) FILTER (WHERE state = 5) AS s5, count(*) FILTER (WHERE state = 6) AS s6,
	    count(*) FILTER (WHERE state = 7) AS s7
	  FROM longshore.records WHERE NOT hidden GROUP BY lane
	)
	SELECT format('lane %s is counted as %s, and has %s', lane, row(c.s1, c.s2, c.s3, c.s4, c.s5, c.s6, c.s7), row(i.s1, i.s2, i.s3, i.s4, i.s5, i.s6, i.s7))
	FROM counted c FULL JOIN present i USING (lane)
	WHERE (coalesce(c.s1, 0), coalesce(c.s2, 0), coalesce(c.s3, 0), coalesce(c.s4, 0), coalesce(c.s5, 0), coalesce(c.s6, 0), coalesce(c.s7, 0))
	  <> (coalesce(i.s1, 0), coalesce(i.s2, 0), coalesce(i.s3, 0), coalesce(i.s4, 0), coalesce(i.s5, 0), coalesce(i.s6, 0), coalesce(i.s7, 0))`,
		`WITH counted AS (SELECT lane, ` + sumOfBytes + ` AS bytes FROM ` + counted + ` GROUP BY lane),
	present AS (
	  SELECT r.lane, sum(octet_length(j.args)) AS bytes FROM longshore.records r JOIN longshore.jobs j ON j.place = r.place
	  WHERE r.state < 5 GROUP BY r.lane
	)
	SELECT format('the jobs of lane %s that are not over are counted as %s bytes, and have %s', lane, c.bytes, coalesce(i.bytes, 0))
	FROM counted c LEFT JOIN present i USING (lane) WHERE c.bytes <> coalesce(i.bytes, 0)`,
	}
}

const countStates = `SELECT state, count(*) FROM longshore.records WHERE NOT hidden GROUP BY state`

// Audit compares everything that the database keeps beside its jobs with what it should be, at one
// moment. It reads all of it, and keeps nobody from working meanwhile; but dead rows stay until it
// is done.
func Audit(ctx context.Context, dsn string) (audit queue.Audit, err error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return audit, badAddress(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // each statement is asked once, perhaps through a pool
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return audit, fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := refuseOtherSchema(schemaOf(ctx, conn)); err != nil {
		return audit, err
	}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return auditIn(ctx, tx, &audit)
	})
	if err != nil {
		return audit, fmt.Errorf("audit the database: %w", err)
	}
	return audit, nil
}

// auditIn audits what a transaction sees.
func auditIn(ctx context.Context, tx pgx.Tx, audit *queue.Audit) error {
	if err := countAll(ctx, tx, audit); err != nil {
		return err
	}
	for _, check := range checks() {
		if err := checkOne(ctx, tx, check, audit); err != nil {
			return err
		}
	}
	keys, err := allKeys(ctx, tx)
	if err != nil {
		return err
	}
	audit.APIKeys = int64(len(keys))
	for _, line := range queue.CheckAPIKeys(keys) {
		differ(audit, line)
	}
	return nil
}

// differ notes a difference.
func differ(audit *queue.Audit, line string) {
	if len(audit.Differences) == queue.MaxDifferences {
		audit.More++
		return
	}
	audit.Differences = append(audit.Differences, line)
}

func countAll(ctx context.Context, tx pgx.Tx, audit *queue.Audit) error {
	rows, err := tx.Query(ctx, countStates)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var state int16
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return err
		}
		if int(state) < len(audit.Counts) {
			audit.Counts[state] = n
		}
		audit.Jobs += n
	}
	return rows.Err()
}

func checkOne(ctx context.Context, tx pgx.Tx, check string, audit *queue.Audit) error {
	rows, err := tx.Query(ctx, check)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var difference *string
		if err := rows.Scan(&difference); err != nil {
			return err
		}
		if difference == nil {
			difference = new("something without a name")
		}
		differ(audit, *difference)
	}
	return rows.Err()
}
