package ceiling

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/longshore-queue/longshore/internal/api"
)

// unread answers every POST as the product has answered the first one.
type unread struct {
	product *api.API
	first   sync.Once
	answer  *httptest.ResponseRecorder // set by first
}

// ServeHTTP answers.
func (u *unread) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		u.product.ServeHTTP(w, r) // whether it is ready
		return
	}
	u.first.Do(func() {
		u.answer = httptest.NewRecorder()
		u.product.ServeHTTP(u.answer, r)
	})
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return // there is nobody to tell
	}
	maps.Copy(w.Header(), u.answer.Header())
	w.WriteHeader(u.answer.Code)
	_, _ = bytes.NewReader(u.answer.Body.Bytes()).WriteTo(w)
}
