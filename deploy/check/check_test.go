package check

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// expressions are of one file, by what they are for.
type expressions map[string]string

func alerts(t *testing.T) expressions {
	t.Helper()
	text, err := os.ReadFile("../prometheus/longshore.rules.yml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&file))
	found := make(expressions)
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			require.NotContains(t, found, rule.Alert, "an alert that is there twice")
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
			require.Contains(t, []string{"warning", "critical"}, rule.Labels["severity"], rule.Alert)
			found[rule.Alert] = rule.Expr
		}
	}
	return found
}

func panels(t *testing.T) expressions {
	t.Helper()
	text, err := os.ReadFile("../grafana/longshore.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	// What Grafana fills in before it asks.
	filled := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$channel", ".*", "$type", ".*")
	found := make(expressions)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			found[panel.Title+" "+target.RefID] = filled.Replace(target.Expr)
		}
	}
	return found
}

func TestExpressionsParse(t *testing.T) {
	t.Parallel()
	read := parser.NewParser(parser.Options{})
	for file, found := range map[string]expressions{"alerts": alerts(t), "dashboard": panels(t)} {
		require.Greater(t, len(found), 10, file)
		for name, text := range found {
			_, err := read.ParseExpr(text)
			require.NoError(t, err, "%s: %s: %s", file, name, text)
		}
	}
}

func TestTheGuideSaysWhatToDoAboutEachAlert(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/operations/monitoring.md")
	require.NoError(t, err)
	for name := range alerts(t) {
		require.Contains(t, string(guide), "| `"+name+"` | ")
	}
}
