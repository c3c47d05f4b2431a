// SPDX-License-Identifier: MPL-2.0

// Package prometheus starts Debian's Prometheus, has it read the metrics of clusters, and says which
// alerts fire.
package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Server is a running Prometheus.
type Server struct {
	url   string
	begun time.Time
}

// pauses are how long an alert has to hold before it fires, windows how far it looks back. A test does not wait for
// them.
var (
	pauses  = regexp.MustCompile(`(?m)^(\s+for: ).*$`)
	windows = regexp.MustCompile(`\[\d+m\]`)
)

// New starts a server that reads the first nodes of the clusters each second, with a rule file in which
// no alert waits before it fires, or looks back further than a minute. It ends with the test.
func New(t testing.TB, rules string, of ...*cluster.Cluster) *Server {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("%v: scripts/deps.sh installs it", err)
	}
	port, err := cluster.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	text = windows.ReplaceAll(pauses.ReplaceAll(text, []byte("${1}0s")), []byte("[1m]"))
	var targets []string
	for _, c := range of {
		targets = append(targets, strings.TrimPrefix(c.Node(0).Address(), "https://"))
	}
	list, _ := json.Marshal(targets)
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: vault
    scheme: https
    metrics_path: /v1/sys/metrics
    params: {format: [prometheus]}
    tls_config: {ca_file: %q}
    static_configs: [{targets: %s}]
`, of[0].GetCACertPEMFile(), list)
	for name, content := range map[string][]byte{"rules.yml": text, "prometheus.yml": []byte(config)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{begun: time.Now(), url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	s.start(t, binary, dir)
	return s
}

func (s *Server) start(t testing.TB, binary, dir string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+dir+"/data",
		"--web.listen-address="+strings.TrimPrefix(s.url, "http://"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the log of Prometheus:\n%s", text)
		}
	})
}

// Reads says how many clusters give the gauge.
func (s *Server) Reads(ctx context.Context, gauge string) (clusters int, err error) {
	var answer struct {
		Data struct {
			Result []any `json:"result"`
		} `json:"data"`
	}
	err = s.ask(ctx, "query?query="+gauge, &answer)
	return len(answer.Data.Result), err
}

// Series says how many series an expression has had since the server was started.
func (s *Server) Series(ctx context.Context, expression string) (n int, err error) {
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []any `json:"result"`
		} `json:"data"`
	}
	err = s.ask(ctx, "query_range?"+url.Values{
		"query": {expression}, "step": {"1s"}, "start": {s.begun.Format(time.RFC3339)},
		"end": {time.Now().Format(time.RFC3339)},
	}.Encode(), &answer)
	if err == nil && answer.Status != "success" {
		err = errors.New(answer.Error)
	}
	return len(answer.Data.Result), err
}

// Names are those of all metrics that were read and have a prefix.
func (s *Server) Names(ctx context.Context, prefix string) ([]string, error) {
	var answer struct {
		Data []string `json:"data"`
	}
	err := s.ask(ctx, "label/__name__/values?"+url.Values{"match[]": {fmt.Sprintf(`{__name__=~"%s.*"}`, prefix)}}.Encode(),
		&answer)
	return answer.Data, err
}

func (s *Server) ask(ctx context.Context, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(answer)
}

// Firing are the names of the alerts that fire, each with the name of its cluster behind a space.
func (s *Server) Firing(ctx context.Context) (map[string]bool, error) {
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string `json:"labels"`
				State  string            `json:"state"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if err := s.ask(ctx, "alerts", &answer); err != nil {
		return nil, err
	}
	firing := map[string]bool{}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			firing[a.Labels["alertname"]+" "+a.Labels["cluster"]] = true
		}
	}
	return firing, nil
}
