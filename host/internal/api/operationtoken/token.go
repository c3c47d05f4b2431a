// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// tokenPrefix tells a generated token from Vault's own kinds.
	tokenPrefix = "dro."
	// tokenRandom is the number of random base62 characters (142 bits).
	tokenRandom = 24
	// tokenLength is the length of Vault's root tokens. Clients of generate-root rely on it
	// for their one-time password.
	tokenLength = len(tokenPrefix) + tokenRandom
	// tokenMax bounds any token that is looked at, in bytes.
	tokenMax = 8 << 10
)

// Store keeps one record of this cluster behind the barrier; it is never
// replicated. All methods may be called concurrently on an unsealed node.
type Store interface {
	// Get returns nil without an error when there is no record.
	Get(ctx context.Context) ([]byte, error)
	Put(ctx context.Context, record []byte) error
	// Delete succeeds when there is no record.
	Delete(ctx context.Context) error
}

// BatchTokens decides on batch tokens that were prepared on the primary.
type BatchTokens interface {
	// Allowed returns nil for a valid orphan batch token that may be used from the client's
	// address and whose policies grant the request (see [Use]). Errors that are not of the
	// contract count as Denied. If [InsideCore] says so, the core's state lock is held
	// already and must not be taken again.
	Allowed(ctx context.Context, token string, use *logical.Request) error
}

type insideCore struct{}

// WithinCore marks the context of a request that Vault's core is handling: it
// holds the core's state lock for reading, and taking that lock a second time
// can deadlock with a writer that came in between.
func WithinCore(ctx context.Context) context.Context {
	return context.WithValue(ctx, insideCore{}, true)
}

// InsideCore says whether the context was marked by [WithinCore]; the gate's
// requests have not reached the core.
func InsideCore(ctx context.Context) bool { return ctx.Value(insideCore{}) != nil }

// record is what is stored of a generated token.
type record struct {
	Hash []byte `json:"sha256"`
}

// recordMax bounds it in bytes.
const recordMax = 1 << 10

// decodeRecord is the hash in it.
func decodeRecord(data []byte) (hash [sha256.Size]byte, err error) {
	var stored record
	if len(data) > recordMax || json.Unmarshal(data, &stored) != nil || len(stored.Hash) != sha256.Size {
		return hash, replication.Errorf(replication.Internal, "the stored DR operation token is damaged: delete the "+
			"attempt and make a new token")
	}
	return [sha256.Size]byte(stored.Hash), nil
}

// Verifier checks DR operation tokens. Make one with [NewVerifier] for a core's
// life; all methods may be called concurrently.
type Verifier struct {
	store Store
	batch BatchTokens
	// mu makes check and delete of the record one step.
	mu sync.Mutex
}

// NewVerifier returns a Verifier. A nil batch refuses all batch tokens.
func NewVerifier(store Store, batch BatchTokens) *Verifier {
	return &Verifier{store: store, batch: batch}
}

// Allow returns nil when the token may be used for the request that [Use]
// describes. It spends nothing. Errors are InvalidInput for a missing token, Denied
// for a wrong one.
func (v *Verifier) Allow(ctx context.Context, token string, use *logical.Request) error {
	switch {
	case token == "":
		return replication.Errorf(replication.InvalidInput, "dr_operation_token is missing: make one with \"vault operator "+
			"generate-root -dr-token\", or give an orphan batch token prepared on the primary")
	case len(token) > tokenMax:
		return errWrong()
	case strings.HasPrefix(token, "hvb."), strings.HasPrefix(token, "b."):
		if v.batch == nil {
			return errWrong()
		}
		return asDenied(v.batch.Allowed(ctx, token, use))
	case strings.HasPrefix(token, "hvs."), strings.HasPrefix(token, "hvr."), strings.HasPrefix(token, "s."),
		strings.HasPrefix(token, "r."):
		return replication.Errorf(replication.Denied, "service and root tokens are not accepted as dr_operation_token: "+
			"make one with \"vault operator generate-root -dr-token\", or give an orphan batch token with update on %s",
			use.Path)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.match(ctx, token)
}

// Generated says whether the token has the form of a generated one, without
// saying that it is right.
func Generated(token string) bool { return strings.HasPrefix(token, tokenPrefix) }

// Consume deletes the generated token: to be called once when the promotion
// that it allowed is committed. It does nothing for a batch token, whose life
// is its TTL. Denied when the token was deleted or replaced meanwhile.
func (v *Verifier) Consume(ctx context.Context, token string) error {
	if !Generated(token) {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.match(ctx, token); err != nil {
		return err
	}
	return v.store.Delete(ctx)
}

// set stores the token as the only valid one.
func (v *Verifier) set(ctx context.Context, token string) error {
	hash := sha256.Sum256([]byte(token))
	data, err := json.Marshal(record{Hash: hash[:]})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.store.Put(ctx, data)
}

// match compares with the stored hash. Its time depends neither on how much of the token is
// right nor on whether there is a record.
func (v *Verifier) match(ctx context.Context, token string) error {
	data, err := v.store.Get(ctx)
	if err != nil {
		return replication.Errorf(replication.StorageFailed, "the DR operation token cannot be checked because storage "+
			"failed: %w", err)
	}
	var want [sha256.Size]byte
	known := 0
	if data != nil {
		if want, err = decodeRecord(data); err != nil {
			return err
		}
		known = 1
	}
	hash := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(hash[:], want[:])&known != 1 {
		return errWrong()
	}
	return nil
}

// asDenied makes Denied of an error that has no kind.
func asDenied(err error) error {
	var known *replication.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return replication.Errorf(replication.Denied, "the DR operation token is refused: %w", err)
}

func errWrong() error {
	return replication.Errorf(replication.Denied, "the DR operation token is wrong, or was used or deleted: make a new "+
		"one with \"vault operator generate-root -dr-token\"")
}
