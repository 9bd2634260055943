package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer string
		want         Response
	}{
		{
			"created",
			"HTTP/1.1 201 Created\r\nContent-Length: 3\r\nLocation: /v1/jobs/1\r\n\r\n{}\n",
			Response{Status: 201, Location: []byte("/v1/jobs/1"), Body: []byte("{}\n")},
		},
		{
			"names in other cases",
			"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nLOCATION: /x\r\n\r\n{}",
			Response{Status: 200, Location: []byte("/x"), Body: []byte("{}")},
		},
		{"no content", "HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n", Response{Status: 204, Body: []byte{}}},
		{"an empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Response{Status: 200, Body: []byte{}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, size, err := parse([]byte(test.answer))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
			require.Equal(t, len(test.answer), size)

			_, size, err = parse([]byte(test.answer + "HTTP/1.1 200 OK"))
			require.NoError(t, err, "what comes after an answer is not part of it")
			require.Equal(t, len(test.answer), size)

			for cut := range len(test.answer) {
				_, _, err := parse([]byte(test.answer[:cut]))
				require.ErrorIs(t, err, errIncomplete, "cut after %d bytes", cut)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"what is not HTTP":     "220 mail.example.org ESMTP\r\n\r\n",
		"a status of letters":  "HTTP/1.1 abc Created\r\n\r\n",
		"chunks":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"no length":            "HTTP/1.1 200 OK\r\n\r\n",
		"a length of letters":  "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
		"a length less than 0": "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := parse([]byte(answer))
			require.Error(t, err)
			require.NotErrorIs(t, err, errIncomplete)
		})
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	template := PostTemplate("/v1/leases/", 4, "/finish", "{}")
	for _, token := range []string{"abcd", "efgh"} {
		request, err := template.Fill([]byte(token))
		require.NoError(t, err)
		require.Equal(t, string(Post("/v1/leases/"+token+"/finish", "{}")), string(request))
	}
	_, err := template.Fill([]byte("abc"))
	require.Error(t, err)
}
