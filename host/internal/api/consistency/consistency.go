// SPDX-License-Identifier: MPL-2.0

// Package consistency lets a client move between the clusters of a performance replication
// set and still find what it wrote. The header X-Vault-Index of an answer names the state
// that the write needs. A request that carries the header is served only by a node that has
// that state.
//
// The value is that of Vault's documentation and Go client (api.RecordState,
// api.RequireState): base64 of "v1:<set>:<local>:<replicated>:<hex HMAC-SHA256>". All
// clusters of the set share the key of the HMAC. The cluster id in the value is the id of
// the replication set with a hash of the epoch: all clusters of the set understand each
// other, and none takes a state of a lost history for one of the present. replicated is a
// sequence of the primary's journal. local is one of the answering cluster's own journal;
// nothing is required of it.
//
// A state of another epoch may be lost, and is refused. The refusal carries the index of
// this node. A client that keeps its state takes it in place of the lost one, so it is told
// once.
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

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
	"github.com/vault-replication/vault-replication/shared/replication"
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
	// Wait waits until the primary's write at this position is here, for as long as this
	// node waits for its own writes. The position has no term.
	Wait(ctx context.Context, at replication.Position) error
	// Present says whether it is here now.
	Present(at replication.Position) bool
	// Forwarded is the highest state that a forwarded request has written. OK is false
	// on a node that forwards nothing.
	Forwarded() (at replication.Position, ok bool)
}

// Index is a state of a set.
type Index struct {
	// Set is the id of the replication set, Key the key of its headers.
	Set string
	Key []byte
	// Epoch is zero while it is not known, as during a copy.
	Epoch             replication.Epoch
	Local, Replicated uint64
}

// history is what an index has for the id of a cluster.
func (i Index) history() string {
	epoch := sha256.Sum256([]byte(i.Epoch.String()))
	return i.Set + "." + hex.EncodeToString(epoch[:8])
}

// Encode is the value of the header.
func (i Index) Encode() string {
	state := fmt.Sprintf("v1:%s:%d:%d", i.history(), i.Local, i.Replicated)
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
				if errors.Is(err, errOtherHistory) {
					stamp(w, node)
				}
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

// errOtherHistory is of a state that will not come.
var errOtherHistory = fmt.Errorf("%w: it is of another history of this replication set, or of another set",
	logical.ErrMissingRequiredState)

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
			return fmt.Errorf("%w %s header: %w: send back what a cluster of this replication set has answered", errMalformed,
				IndexHeader, err)
		}
		if here.Epoch.IsZero() {
			return logical.ErrMissingRequiredState
		}
		if state.ClusterID != here.history() {
			return errOtherHistory
		}
		at := replication.Position{Epoch: here.Epoch, Sequence: state.ReplicatedIndex}
		if node.Present(at) {
			continue
		}
		if r.Header.Get(InconsistentHeader) == inconsistentFail || node.Wait(r.Context(), at) != nil {
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
	stamp(s.ResponseWriter, s.node)
}

func stamp(w http.ResponseWriter, node Node) {
	if i, ok := node.Index(); ok && !i.Epoch.IsZero() {
		w.Header().Set(IndexHeader, i.Encode())
	}
}

// Unwrap lets http.ResponseController reach what is below.
func (s *stamped) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Flush implements [http.Flusher], which Vault's streaming endpoints ask for.
func (s *stamped) Flush() {
	s.stamp(http.StatusOK)
	_ = http.NewResponseController(s.ResponseWriter).Flush()
}
