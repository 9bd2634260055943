package api

import (
	"math"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// checkPath and checkQuery refuse what is wrong with a request's URL, before the generated
// code sees it: that accepts more forms of a UUID than the contract, overlooks parameters it
// does not know, and repeats a bad value in its errors, which may be a token.

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
func checkQuery(c echo.Context) error {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return &requestError{code: codeInvalidRequest, detail: "the query of the URL is malformed"}
	}
	for name, given := range values {
		switch {
		case name != "wait_seconds" || c.Path() != "/v1/jobs/:id":
			return invalid(shorten(name), "is not a known parameter")
		case len(given) != 1:
			return invalid(name, "is there twice")
		}
		seconds, err := strconv.ParseFloat(given[0], 64)
		if err != nil {
			return invalid(name, "must be a number")
		}
		if err := checkSeconds(name, seconds); err != nil {
			return err
		}
	}
	return nil
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
