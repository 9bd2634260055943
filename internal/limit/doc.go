// Package limit has the rules of who may do how much: how often a caller may call, how many calls
// may wait, how many jobs a channel may have and how large they may be, when memory is short, and how much of it
// long requests and answers may take.
//
// It does not know what a caller is, nor what they are told: names are given to it, and so is the
// time. What it remembers is bounded, whatever names it is given.
package limit
