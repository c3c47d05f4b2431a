// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// probeInterval is how often a probe asks.
const probeInterval = 20 * time.Millisecond

// probe asks the nodes of clusters all the time, and keeps what a client must not meet.
type probe struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	phase  string
	wrong  []string
	gaps   map[string]time.Duration // the longest without an answer that serves, by phase
	last   map[string]time.Time     // when each node served last
	asked  int
	phases []string
}

// alwaysAnswered are paths that a node answers in every moment, from what it knows itself
// if need be.
var alwaysAnswered = []string{
	"sys/replication/status", "sys/health", "sys/replication/dr/status", "sys/leader",
	"sys/replication/performance/status",
}

// startProbe begins to ask. A standby of a new secondary is sealed until it has new shares,
// and says so.
func startProbe(t *testing.T, clusters ...*cluster.Cluster) *probe {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &probe{stop: cancel, gaps: map[string]time.Duration{}, last: map[string]time.Time{}}
	t.Cleanup(p.end)
	for _, c := range clusters {
		for i := range c.Nodes() {
			n := c.Node(i)
			transport := &http.Transport{TLSClientConfig: n.TLSConfig(), ForceAttemptHTTP2: true}
			t.Cleanup(transport.CloseIdleConnections)
			client := &http.Client{Transport: transport, Timeout: limit}
			ask := func(path string) (int, http.Header, string, error) { return get(ctx, client, n.Address()+"/v1/"+path) }
			p.done.Add(2)
			go p.watch(ctx, func(turn int) { p.status(n.Name(), i > 0, alwaysAnswered[turn%len(alwaysAnswered)], ask) })
			p.mu.Lock()
			p.last[n.Name()] = time.Now()
			p.mu.Unlock()
			go p.watch(ctx, func(int) { p.other(n.Name(), i > 0, ask) })
		}
	}
	return p
}

func get(ctx context.Context, client *http.Client, url string) (int, http.Header, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(body), err
}

func (p *probe) watch(ctx context.Context, ask func(turn int)) {
	defer p.done.Done()
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for turn := 0; ctx.Err() == nil; turn++ {
		ask(turn)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

type asking func(path string) (int, http.Header, string, error)

// status asks for what is always answered.
func (p *probe) status(node string, standby bool, path string, ask asking) {
	code, _, body, err := ask(path)
	if standby && strings.Contains(body, "sealed") && code == http.StatusServiceUnavailable {
		return
	}
	good := err == nil && code == http.StatusOK
	if path == "sys/health" {
		// A standby, and a DR secondary.
		good = good || code == http.StatusTooManyRequests || code == 472
	}
	if good && strings.HasPrefix(path, "sys/replication/") {
		var answer struct{ Data map[string]any }
		good = json.Unmarshal([]byte(body), &answer) == nil && (answer.Data["mode"] != nil || answer.Data["dr"] != nil)
	}
	p.count(good, node, path, code, body, err)
}

// other asks for something that needs the core. A standby cannot serve before it has its
// shares.
func (p *probe) other(node string, standby bool, ask asking) {
	const path = "sys/internal/ui/mounts"
	code, header, body, err := ask(path)
	sealed := standby && strings.Contains(body, "sealed")
	if err == nil && code == http.StatusOK || code == http.StatusBadRequest &&
		strings.Contains(body, "DR secondary mode") || sealed {
		p.mu.Lock()
		now := time.Now()
		if !sealed {
			p.gaps[p.phase] = max(p.gaps[p.phase], now.Sub(p.last[node]))
		}
		p.last[node] = now
		p.mu.Unlock()
		p.count(true, node, path, code, body, err)
		return
	}
	p.count(code == http.StatusServiceUnavailable && header.Get("Retry-After") != "", node, path, code, body, err)
}

func (p *probe) count(good bool, node, path string, code int, body string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if !good && len(p.wrong) < 20 && p.phase != "" {
		p.wrong = append(p.wrong, fmt.Sprintf("%s: %s of %s: %d %s %v", p.phase, path, node, code, strings.TrimSpace(body),
			err))
	}
}

// during names what happens from now on, once every node has served after what was before.
func (p *probe) during(t *testing.T, phase string) {
	t.Helper()
	asked := time.Now()
	cluster.Eventually(t, limit, "every node serves", func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for node, last := range p.last {
			if last.Before(asked) {
				return fmt.Errorf("%s has not: %v", node, p.wrong)
			}
		}
		p.phase = phase
		p.phases = append(p.phases, phase)
		return nil
	})
}

func (p *probe) end() {
	p.mu.Lock()
	p.phase = ""
	p.mu.Unlock()
	p.stop()
	p.done.Wait()
}

// requireAnswered ends the probe and prints the longest gaps.
func (p *probe) requireAnswered(t *testing.T) {
	t.Helper()
	p.during(t, "")
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, phase := range p.phases {
		if phase != "" {
			t.Logf("longest gap during %s: %v", phase, p.gaps[phase].Round(time.Millisecond))
		}
	}
	t.Logf("%d answers", p.asked)
	require.Empty(t, p.wrong, strings.Join(p.wrong, "\n"))
}
