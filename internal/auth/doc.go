// Package auth says who a caller is and what they may do: a Principal, and the ways to find one
// from a request. Each kind of credential has a package of its own below this one.
//
// It does not decide what an operation of the contract needs (internal/api has that table), and it
// does not keep credentials (a store does).
package auth
