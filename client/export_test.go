package client

// NewTransport is what sends the requests of a client that is given none.
var NewTransport = newTransport
