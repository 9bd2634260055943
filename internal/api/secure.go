package api

import "net/http"

// The headers that keep a browser from doing with an answer what nobody meant, as net/http writes
// their names.
const (
	headerContentTypeOptions = "X-Content-Type-Options"
	headerCacheControl       = "Cache-Control"
	headerContentSecurity    = "Content-Security-Policy"
	headerStrictTransport    = "Strict-Transport-Security"
)

// secureHeaders are their values, which all answers share: made once, they cost an answer nothing
// but their places.
type secureHeaders struct{ contentType, cache, content, transport []string }

func newSecureHeaders() secureHeaders {
	return secureHeaders{
		contentType: []string{"nosniff"},
		cache:       []string{"no-store"}, // it is somebody's own, and may hold a token
		content:     []string{"default-src 'none'; frame-ancestors 'none'"},
		transport:   []string{"max-age=31536000"},
	}
}

// set sets them in the head of an answer. Nobody appends to what is shared: handlers set headers.
func (s *secureHeaders) set(header http.Header, encrypted bool) {
	header[headerContentTypeOptions] = s.contentType
	header[headerCacheControl] = s.cache
	header[headerContentSecurity] = s.content
	if encrypted {
		header[headerStrictTransport] = s.transport
	}
}
