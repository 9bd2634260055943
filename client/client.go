package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultMaxAnswerBytes is how long an answer may be unless Options say otherwise. A lease
// carries the results of all dependencies of its job, so it may be much longer than one body
// that a server accepts.
const DefaultMaxAnswerBytes = 64 << 20

// pingAfter is how long a connection of HTTP/2 may be silent before the server is asked whether it is
// still there, and how long that may take before it is given up. Both together are well below a
// heartbeat timeout.
const pingAfter = 15 * time.Second

// keptConnections is how many connections of HTTP/1.1 that no request uses are kept for the next ones, as
// long as http.DefaultTransport keeps them. Runs of a worker of many slots begin together, and what each of
// them calls next it calls at once: connections that are not kept when all are answered are opened again.
const keptConnections = 256

// ErrAnswerTooLong ends the reading of an answer that is longer than Options.MaxAnswerBytes.
var ErrAnswerTooLong = errors.New("the server's answer is too long")

// Options are the settings of a client. The zero value works.
type Options struct {
	// HTTPClient sends the requests; nil is a client of this one's own. It is copied, and
	// the copy follows no redirects: a redirected POST would change its meaning or carry a
	// token to another place. Its Timeout must be 0 or longer than the longest poll.
	HTTPClient *http.Client
	// TLS is how the server is known, and the client to it; nil is the usual way. See TLSFiles. An
	// HTTPClient has settings of its own instead.
	TLS *tls.Config
	// UserAgent is sent with every request; empty is "longshore-client".
	UserAgent string
	// Credential returns what each request says who calls by: an API key, or a token of an OpenID
	// Connect issuer. Nil, or "", is nothing. It is asked for every request, so that what has
	// changed is sent with the next one; see KeyFile. It must be safe for concurrent use.
	Credential func(ctx context.Context) (string, error)
	// MaxAnswerBytes is how long an answer may be; 0 is DefaultMaxAnswerBytes.
	MaxAnswerBytes int64
	// RetryTimeout is how long Enqueue, EnqueueBatch and List go on asking while the server
	// cannot be reached; 0 is 30 s, less than 0 is not at all.
	RetryTimeout time.Duration
	// TraceParent returns the W3C trace context that jobs are created in, such as the span
	// that ctx carries; "" is none. The workers of those jobs find it in Run.TraceParent. Nil
	// is none; a NewJob may have one of its own in any case.
	TraceParent func(ctx context.Context) string
}

// Client talks to one server. Its methods are what producers need; API has every call of the
// contract. They are safe for concurrent use.
//
// Every answer that is not 2xx is an error: errors.As finds the server's *Problem in it, and
// RetryAfter how long the server asks to wait. The tokens of leases are cut out of errors.
type Client struct {
	api          *ClientWithResponses
	retryTimeout time.Duration
	traceParent  func(ctx context.Context) string
}

// API returns the generated client, with one method for each call of the contract. In contrast
// to one made by NewClientWithResponses, its errors and bounds are those of this client.
func (c *Client) API() *ClientWithResponses { return c.api }

// New returns a client of the server at baseURL, such as "https://queue.example:8080". It
// sends nothing.
func New(baseURL string, options Options) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err // without the address: it may hold a password
		}
		return nil, fmt.Errorf("parse the server's address: %w", err)
	}
	switch {
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, fmt.Errorf("the server's address %q must look like http://host:port", base.Redacted())
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("the server's address %q must not have a query or a fragment", base.Redacted())
	case options.TLS != nil && options.HTTPClient != nil:
		return nil, errors.New("the options TLS and HTTPClient contradict each other")
	}
	sender := &sender{agent: options.UserAgent, credential: options.Credential, maxAnswer: options.MaxAnswerBytes}
	if options.HTTPClient != nil {
		sender.http = *options.HTTPClient
	} else if transport := newTransport(options.TLS); transport != nil {
		sender.http.Transport = transport
	} else if options.TLS != nil {
		return nil, errors.New("http.DefaultTransport is no *http.Transport any more, which would take the option TLS; give an HTTPClient with those settings instead")
	}
	sender.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if sender.agent == "" {
		sender.agent = "longshore-client"
	}
	if sender.maxAnswer <= 0 {
		sender.maxAnswer = DefaultMaxAnswerBytes
	}
	api, err := NewClientWithResponses(base.String(), WithHTTPClient(sender))
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	c := &Client{api: api, retryTimeout: options.RetryTimeout, traceParent: options.TraceParent}
	if c.retryTimeout == 0 {
		c.retryTimeout = defaultRetryTimeout
	}
	if c.traceParent == nil {
		c.traceParent = func(context.Context) string { return "" }
	}
	return c, nil
}

// newTransport returns a transport as http.DefaultTransport is, with a few settings of its own; nil
// if that was replaced by something else, which is used as it is then.
func newTransport(settings *tls.Config) *http.Transport {
	usual, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil
	}
	own := usual.Clone()
	if settings != nil {
		own.TLSClientConfig = settings.Clone()
	}
	own.MaxIdleConns, own.MaxIdleConnsPerHost = keptConnections, keptConnections // all requests go to one host
	if own.HTTP2 == nil {
		// All requests share one connection, and a request that ends for want of an answer does not
		// end it: one that a router has forgotten would be used until TCP gives up, a quarter of an
		// hour later.
		own.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter}
	}
	return own
}

// sender is the one place that all requests of a client pass through.
type sender struct {
	http       http.Client
	agent      string
	credential func(ctx context.Context) (string, error) // nil for none
	maxAnswer  int64
}

// Do sends the request. An answer that is not 2xx is an error, and its body is closed.
func (s *sender) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", s.agent)
	if s.credential != nil {
		secret, err := s.credential(req.Context())
		if err != nil {
			return nil, fmt.Errorf("find the credential: %w", err)
		}
		if secret != "" {
			req.Header.Set("Authorization", "Bearer "+secret)
		}
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, redact(req, err)
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: s.maxAnswer}
	if err := refusal(req, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// boundedBody fails a read past its bound; io.LimitReader would show a cut answer as a whole
// one.
type boundedBody struct {
	io.ReadCloser
	left int64 // bytes that may still be read
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrAnswerTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, ErrAnswerTooLong
	}
	return n, err
}

// leasePath is what comes before a token in the path of a request.
const leasePath = "/v1/leases/"

// tokenIn returns the token in a path, or "".
func tokenIn(path string) string {
	_, rest, found := strings.Cut(path, leasePath)
	if !found {
		return ""
	}
	token, _, _ := strings.Cut(rest, "/")
	return token
}

// hide cuts the token of the request out of text that others wrote.
func hide(req *http.Request, text string) string {
	token := tokenIn(req.URL.Path)
	if token == "" {
		return text
	}
	return strings.ReplaceAll(text, token, "{token}")
}

// redact returns an error of http.Client without the token that its text would show: a
// *url.Error contains the whole URL. What it wraps can still be found by errors.Is, unless
// that shows the token too.
func redact(req *http.Request, err error) error {
	cause := err
	var outer *url.Error
	if errors.As(err, &outer) {
		cause = outer.Err
	}
	if text := cause.Error(); hide(req, text) != text {
		cause = errors.New(hide(req, text))
	}
	return &url.Error{Op: req.Method, URL: hide(req, req.URL.Redacted()), Err: cause}
}
