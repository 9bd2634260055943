package api

import (
	"encoding/json"
	"math"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// checkPath, checkQuery and takeTerms refuse what is wrong with a request's URL and headers,
// before the generated code sees it: that accepts more forms of a UUID than the contract,
// overlooks parameters it does not know, and repeats a bad value in its errors, which may be
// a token.

func checkPath(c echo.Context) error {
	for _, name := range c.ParamNames() {
		if name != "id" && name != "token" {
			continue
		}
		value := c.Param(name)
		if value == "" {
			return &requestError{code: codeRouteNotFound}
		}
		if _, ok := parseUUID(value); !ok {
			return invalid(name, "must be a UUID of 36 characters")
		}
	}
	return nil
}

// checkQuery is for routes of the contract: what is wrong with a query goes after a path or a
// method that is not there.
func checkQuery(c echo.Context, op *operation) error {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return &requestError{code: codeInvalidRequest, detail: "the query of the URL is malformed"}
	}
	for name, given := range values {
		p, found := op.query[name]
		switch {
		case !found:
			return invalid(shorten(name), "is not a known parameter")
		case len(given) != 1 && !p.repeats:
			return invalid(name, "is there twice")
		}
		for _, value := range given {
			if err := p.check(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkWait(name, value string) error {
	// ParseFloat also takes what no number of JSON has: +5, .5, 5., a base of 16, underscores, words.
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || !json.Valid([]byte(value)) {
		return invalid(name, "must be a number such as 30 or 0.5")
	}
	return checkSeconds(name, seconds)
}

func checkLimit(name, value string) error {
	limit, err := strconv.ParseUint(value, 10, 16)
	if err != nil || limit < 1 || limit > queue.MaxPage {
		return invalid(name, "must be an integer from 1 to "+itoa(queue.MaxPage))
	}
	return nil
}

func checkStates(name, value string) error {
	_, err := statesOf(name, value)
	return err
}

func checkNames(name, value string) error {
	_, err := namesOf(name, value)
	return err
}

func checkIDs(name, value string) error {
	_, err := idsOf(name, value)
	return err
}

func checkLabel(name, value string) error {
	if value == "" {
		return invalid(name, "must be the name of a label, or name=value")
	}
	return nil // the domain says the rest
}

func checkTime(name, value string) error {
	if _, ok := parseTime([]byte(value)); !ok {
		return invalid(name, "must be a time such as 2026-11-17T09:30:00Z")
	}
	return nil
}

func checkOrder(name, value string) error {
	if value != string(oapi.NewestFirst) && value != string(oapi.OldestFirst) {
		return invalid(name, "must be newest or oldest")
	}
	return nil
}

func checkFields(name, value string) error {
	_, err := fieldsOf(name, value)
	return err
}

// checkedLater is for what only the handler can check.
func checkedLater(string, string) error { return nil }

func checkCursor(name, value string) error {
	_, err := cursorOf(name, value)
	return err
}

// checkSeconds accepts a duration: finite, and not negative.
func checkSeconds(name string, seconds float64) error {
	if math.IsNaN(seconds) || math.IsInf(seconds, 0) || seconds < 0 {
		return invalid(name, "must be a number of seconds, 0 or more")
	}
	return nil
}

// shorten bounds what is repeated to a client of a name that it chose, in whole characters.
func shorten(name string) string {
	if len(name) <= maxFieldName {
		return name
	}
	end := maxFieldName
	for end > 0 && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + "..."
}
