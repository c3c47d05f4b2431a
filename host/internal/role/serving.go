// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/vault-replication/vault-replication/host/internal/pairing"
	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Serving has a secondary that serves clients take up what was applied.
type Serving interface {
	// Applied has the running core of a secondary take up applied keys, and returns those that it could not take up. Calls
	// come one after the other, in the order of the writes.
	Applied(ctx context.Context, keys []string) (left []string)
	// Lacks says what a secondary cannot do, one sentence each.
	Lacks() []string
}

// Set is the performance set that this cluster is in, for the code that serves its clients.
type Set struct {
	roles    *roles
	sessions *sessions
	tap      *storage.Tap
	ring     *keys.Ring
	paired   *pairing.Book
}

// Serves says whether this cluster is a secondary that serves clients.
func (s Set) Serves() bool { return s.roles.Serves() }

// Inert says whether the engines of this cluster are inert now.
func (s Set) Inert() bool { return s.roles.Inert() }

// Consistent says whether the content of this performance secondary is exactly that
// of its primary at one position.
func (s Set) Consistent(ctx context.Context) bool {
	cur, _, err := s.ring.Cursor(ctx, ofClients)
	return err == nil && cur.Consistent()
}

// Forward carries sealed bytes to the host of the performance primary.
func (s Set) Forward(ctx context.Context, payload []byte) ([]byte, error) {
	b := s.sessions.plugins.Running(ofClients)
	if b == nil {
		return nil, replication.Errorf(replication.Unreachable, "the replication plugin is not running on this node, so "+
			"that the primary cannot be reached: nothing was changed; try again in a moment")
	}
	resp, err := b.Forward(ctx, replication.ForwardRequest{Payload: payload})
	if err != nil {
		return nil, err
	}
	return resp.Payload, nil
}

// Relation is the ids of the set and of this performance secondary, and the key that it shares with its primary's host.
func (s Set) Relation() (setID, secondaryID string, key []byte) {
	mr := s.roles.Record().mode(ofClients)
	return mr.SetID, mr.SecondaryID, mr.Pairing
}

// ID is the id of the performance set.
func (s Set) ID() string { return s.roles.Record().mode(ofClients).SetID }

// KeyOf is the key that this performance primary shares with a secondary.
func (s Set) KeyOf(ctx context.Context, id string) ([]byte, error) {
	if err := mustBe(s.roles.Record(), ofClients, replication.Primary); err != nil {
		return nil, err
	}
	return s.paired.Key(ctx, ofClients, id)
}

// WaitApplied waits until a position of the performance primary was applied here
// and taken up by the core.
func (s Set) WaitApplied(ctx context.Context, at replication.Position) error {
	return s.tap.Secondary(ofClients).WaitApplied(ctx, at)
}

// LastWritten is a position of this performance primary that includes every answered write.
func (s Set) LastWritten() (replication.Position, error) {
	return s.tap.LastWritten(ofClients)
}

// Forwarded notes the position in an answer of the primary, so that the index of the client's answer includes it even
// before it has arrived here.
func (s Set) Forwarded(at replication.Position) { s.roles.noteForwarded(at) }
