// Command promrules asks Prometheus itself whether it can read our alerting rules and the expressions of our dashboard: with the
// packages that `promtool check rules` is made of. promtool brings every service discovery along and takes minutes to build;
// these take a second.
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// interval stands in for Grafana's own variable, which Prometheus does not know.
var interval = strings.NewReplacer("$__rate_interval", "5m")

type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: promrules RULES.yaml DASHBOARD.json")
		os.Exit(2)
	}
	promql := parser.NewParser(parser.Options{})
	rules, failures := checkRules(os.Args[1], promql)
	panels, more := checkDashboard(os.Args[2], promql)
	failures = append(failures, more...)
	for _, failure := range failures {
		fmt.Fprintln(os.Stderr, failure)
	}
	// Nothing read is nothing checked.
	if len(failures) > 0 || rules == 0 || panels == 0 {
		fmt.Fprintf(os.Stderr, "%d failures in %d rules and %d expressions of panels\n", len(failures), rules, panels)
		os.Exit(1)
	}
	fmt.Printf("Prometheus reads all %d rules and %d expressions of panels\n", rules, panels)
}

func checkRules(path string, promql parser.Parser) (int, []error) {
	groups, failures := rulefmt.ParseFile(path, false, model.UTF8Validation, promql, slog.Default())
	if groups == nil {
		return 0, failures
	}
	count := 0
	for _, group := range groups.Groups {
		count += len(group.Rules)
	}
	return count, failures
}

func checkDashboard(path string, promql parser.Parser) (int, []error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, []error{err}
	}
	var page dashboard
	if err := json.Unmarshal(text, &page); err != nil {
		return 0, []error{fmt.Errorf("%s: %w", path, err)}
	}
	count := 0
	var failures []error
	for _, panel := range page.Panels {
		for _, target := range panel.Targets {
			count++
			if _, err := promql.ParseExpr(interval.Replace(target.Expr)); err != nil {
				failures = append(failures, fmt.Errorf("%s: panel %q: %w", path, panel.Title, err))
			}
		}
	}
	return count, failures
}
