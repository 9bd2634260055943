package postgres

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// longestTrust is how long a connection may have been idle that is used without asking the database
// whether it is still there.
const longestTrust = time.Second

// isDoubtful reports whether a connection that was idle may be lost: then it is tried before it is
// used, because a statement that is sent over it would have an unknown outcome. A database that
// restarts ends all connections at once, and each would cost somebody an error. What a connection
// has to say that nobody asked is mostly that it has come to its end.
func isDoubtful(_ context.Context, idle pgxpool.ShouldPingParams) bool {
	if idle.IdleDuration > longestTrust {
		return true
	}
	conn := idle.Conn.PgConn().Conn()
	if secured, is := conn.(*tls.Conn); is {
		conn = secured.NetConn()
	}
	return !isSilent(conn)
}
