// Package app puts a server together: a store, the API in front of it, the reaper beside it,
// and the listener that lets clients in. It owns their lives: Start starts what runs, in an
// order in which each finds what it needs, and Stop ends it in the other order.
//
// It reads no flags, no environment and no signals, and never ends the process: that is
// cmd/server's.
package app
