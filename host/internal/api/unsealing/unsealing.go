// SPDX-License-Identifier: MPL-2.0

// Package unsealing says when key shares that do not belong disturb an unseal. Vault collects the shares of all
// clients. If they do not make the key, it drops all of them and tells only the client that gave the last share. After
// a cluster became a secondary its former shares do not belong any more, and a program may go on to give them.
package unsealing

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
)

const (
	unsealPath = "/v1/sys/unseal"
	statusPath = "/v1/sys/seal-status"

	// sourcesMax bounds the addresses that a line of the log has.
	sourcesMax = 16
	// logEvery is how often the log has such a line, because anybody can give shares without a token.
	logEvery = time.Minute
)

// Watch watches the attempts to unseal one node.
type Watch struct {
	progress func() int
	logger   hclog.Logger

	mu sync.Mutex
	// sources gave the shares of the attempt that is under way.
	sources []string
	// failed is how many attempts have failed since the node was sealed, last when.
	failed int
	last   time.Time
	logged time.Time
}

// New watches a node that has so many shares of the attempt under way.
func New(progress func() int, logger hclog.Logger) *Watch {
	return &Watch{progress: progress, logger: logger}
}

// Wrap puts the watch in front of Vault's handler for one listener.
func (w *Watch) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != unsealPath && r.URL.Path != statusPath {
			next.ServeHTTP(rw, r)
			return
		}
		held := answer.Hold(rw)
		next.ServeHTTP(held, r)
		body := held.Body.Bytes()
		if r.URL.Path == unsealPath {
			w.saw(r.RemoteAddr, held.Status)
		}
		if held.Status == http.StatusOK {
			body = w.warn(body)
		}
		held.Send(rw, body)
	})
}

// saw gets the status of each answer to a share. The status 400 alone does not show a failed attempt: Vault answers an
// unreadable share with 400 too, and such a share ends no attempt.
func (w *Watch) saw(from string, status int) {
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	given := len(w.sources) > 0
	if len(w.sources) < sourcesMax && !slices.Contains(w.sources, from) {
		w.sources = append(w.sources, from)
	}
	if w.progress() > 0 {
		return
	}
	sources := w.sources
	w.sources = nil
	if !given || status != http.StatusBadRequest {
		return // with a threshold of one share nobody can disturb another
	}
	w.failed++
	w.last = time.Now()
	if w.last.Sub(w.logged) < logEvery {
		return
	}
	w.logged = w.last
	w.logger.Warn("an attempt to unseal this node has failed: the shares do not make the key of this cluster. One share "+
		"that does not belong spoils the attempt of all who give shares; end what gives shares of before",
		"from", strings.Join(sources, " "), "failed", w.failed)
}

// warn adds the hint to a seal status, as long as the node is sealed.
func (w *Watch) warn(body []byte) []byte {
	var status map[string]json.RawMessage
	var sealed bool
	if json.Unmarshal(body, &status) != nil || json.Unmarshal(status["sealed"], &sealed) != nil {
		return body
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !sealed {
		w.failed, w.sources = 0, nil
	}
	if w.failed == 0 {
		return body
	}
	var warnings []string
	_ = json.Unmarshal(status["warnings"], &warnings) // there are none
	warnings = append(warnings, fmt.Sprintf("attempts to unseal this node that have failed: %d, the last one at %s. "+
		"Their shares do not make the key of this cluster. Vault collects the shares of everybody, and one share that does "+
		"not belong spoils the attempt of all: end what gives shares of before (the log says from where they come), reset "+
		"the attempt, and give the shares anew without a pause", w.failed, w.last.UTC().Format(time.RFC3339)))
	var err error
	if status["warnings"], err = json.Marshal(warnings); err != nil {
		return body
	}
	if more, err := json.Marshal(status); err == nil {
		return append(more, '\n')
	}
	return body
}
