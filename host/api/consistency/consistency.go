// SPDX-License-Identifier: MPL-2.0

// Package consistency lets a client move between the clusters of a performance replication
// set and still find what it wrote. The header X-Vault-Index of an answer names the state
// that the write needs. A request that carries the header is served only by a node that has
// that state.
//
// The value is that of Vault's documentation and Go client (api.RecordState,
// api.RequireState): base64 of "v1:<set>:<local>:<replicated>:<hex HMAC-SHA256>". All
// clusters of the set share the key of the HMAC. The cluster id in the value is the id of
// the replication set, so that all its clusters understand each other. replicated is a
// sequence of the primary's journal. local is one of the answering cluster's own journal;
// nothing is required of it.
//
// The index of an answer may belong to a somewhat later write. At most that makes the next
// request wait a little. It never gives a stale answer.
package consistency

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/api/answer"
)

// Names of the headers, and what X-Vault-Inconsistent may say.
const (
	IndexHeader        = "X-Vault-Index"
	InconsistentHeader = "X-Vault-Inconsistent"
	inconsistentFail   = "fail"
)

// Node is the state of this node in the set.
type Node interface {
	// Index is a state that includes every write answered so far. OK is false on a node
	// that is not active in a set: the headers mean nothing there.
	Index() (i Index, ok bool)
	// Wait waits until the primary's write with this sequence is here, for as long as this
	// node waits for its own writes.
	Wait(ctx context.Context, replicated uint64) error
	// Present says whether it is here now.
	Present(replicated uint64) bool
	// Forwarded is the highest state that a forwarded request has written. OK is false
	// on a node that forwards nothing.
	Forwarded() (replicated uint64, ok bool)
}

// Index is a state of a set.
type Index struct {
	// Set is the id of the replication set, Key the key of its headers.
	Set               string
	Key               []byte
	Local, Replicated uint64
}

// Encode is the value of the header.
func (i Index) Encode() string {
	state := fmt.Sprintf("v1:%s:%d:%d", i.Set, i.Local, i.Replicated)
	mac := hmac.New(sha256.New, i.Key)
	mac.Write([]byte(state))
	return base64.StdEncoding.EncodeToString([]byte(state + ":" + hex.EncodeToString(mac.Sum(nil))))
}

// Wrap puts the headers' meaning in front of Vault's handler.
func Wrap(next http.Handler, node Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			next.ServeHTTP(w, r)
			return
		}
		if required := r.Header.Values(IndexHeader); len(required) > 0 {
			if err := present(r, node, required); err != nil {
				refuse(w, err)
				return
			}
		}
		if writes(r.Method) {
			if _, ok := node.Index(); ok {
				w = &stamped{ResponseWriter: w, node: node}
			}
		} else if before, ok := node.Forwarded(); ok && r.Header.Get("Upgrade") == "" {
			w = &stamped{ResponseWriter: w, node: node, unless: func() bool {
				now, _ := node.Forwarded()
				return now == before
			}}
		}
		next.ServeHTTP(w, r)
	})
}

// writes says whether a request of a method may have written. Some reads write too. A read
// that makes a lease writes here, and nothing of that is replicated. What the primary wrote
// for a read shows in [Node.Forwarded], which may belong to another request that ended
// meanwhile.
func writes(method string) bool {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return false
}

var errMalformed = errors.New("malformed")

// present returns when every state is here.
func present(r *http.Request, node Node, required []string) error {
	here, ok := node.Index()
	if !ok {
		// Stock Vault knows no states and does the same.
		return nil
	}
	for _, raw := range required {
		state, err := api.ParseReplicationState(raw, here.Key)
		if err != nil {
			return fmt.Errorf("%w %s header: %w: send back what a cluster of this replication set has answered", errMalformed, IndexHeader, err)
		}
		if state.ClusterID != here.Set {
			return logical.ErrMissingRequiredState
		}
		if node.Present(state.ReplicatedIndex) {
			continue
		}
		if r.Header.Get(InconsistentHeader) == inconsistentFail {
			return logical.ErrMissingRequiredState
		}
		if err := node.Wait(r.Context(), state.ReplicatedIndex); err != nil {
			return logical.ErrMissingRequiredState
		}
	}
	return nil
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusPreconditionFailed
	if errors.Is(err, errMalformed) {
		status = http.StatusBadRequest
	}
	answer.Refuse(w, status, err.Error())
}

// stamped adds the index to an answer when its status is known. By then the request has
// written what it writes.
type stamped struct {
	http.ResponseWriter
	node Node
	// unless says that the request has written nothing; nil for one that has.
	unless func() bool
	done   bool
}

func (s *stamped) WriteHeader(status int) {
	s.stamp(status)
	s.ResponseWriter.WriteHeader(status)
}

func (s *stamped) Write(b []byte) (int, error) {
	s.stamp(http.StatusOK)
	return s.ResponseWriter.Write(b)
}

func (s *stamped) stamp(status int) {
	if s.done {
		return
	}
	s.done = true
	if status < http.StatusOK || status >= http.StatusBadRequest || s.unless != nil && s.unless() {
		return
	}
	if i, ok := s.node.Index(); ok {
		s.Header().Set(IndexHeader, i.Encode())
	}
}

// Unwrap lets http.ResponseController reach what is below.
func (s *stamped) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Flush implements [http.Flusher], which Vault's streaming endpoints ask for.
func (s *stamped) Flush() {
	s.stamp(http.StatusOK)
	_ = http.NewResponseController(s.ResponseWriter).Flush()
}
