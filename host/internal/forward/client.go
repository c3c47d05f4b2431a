// SPDX-License-Identifier: MPL-2.0

package forward

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/forward/envelope"
	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ClientOptions are what a client works with; all are required.
type ClientOptions struct {
	// Carry brings sealed bytes to the primary's host: [replication.Backend.Forward].
	Carry envelope.Carry
	// Key is the pairing key, SetID and SecondaryID name the relation it is for.
	Key                []byte
	SetID, SecondaryID string
	// Wrote is told each position at which an answer says that the primary wrote.
	Wrote func(at replication.Position)
	// Wait returns when a position of the primary has been applied here and the core
	// has taken it up.
	Wait func(ctx context.Context, at replication.Position) error
	// BestEffortWait bounds that wait for a logical request.
	BestEffortWait time.Duration
}

// Client is the side of the secondary. Safe for concurrent use.
type Client struct {
	o        ClientOptions
	envelope *envelope.Client
}

// NewClient makes the client of the relation to one primary.
func NewClient(o ClientOptions) *Client {
	return &Client{o: o, envelope: envelope.NewClient(o.Key, envelope.Binding{SetID: o.SetID, SecondaryID: o.SecondaryID})}
}

// Call asks the primary to do something and returns its answer and its position afterwards.
// What the primary did, or found done, is in its journal up to there. Call does not wait
// for that position. Errors are of the contract: Unreachable when the primary has done
// nothing, Uncertain when it may have.
func (c *Client) Call(ctx context.Context, kind Kind, body []byte) (answer []byte, at replication.Position, err error) {
	answer, ah, err := c.call(ctx, kind, body)
	return answer, ah.At, err
}

func (c *Client) call(ctx context.Context, kind Kind, body []byte) (answer []byte, ah answerHeader, err error) {
	none := answerHeader{}
	if len(body) > bodyMax {
		return nil, none, tooLarge(len(body))
	}
	h := callHeader{Kind: kind}
	if deadline, ok := ctx.Deadline(); ok {
		h.Timeout = forPrimary(time.Until(deadline))
	}
	plain, err := join(h, body)
	if err != nil {
		return nil, none, err
	}
	raw, err := c.envelope.Call(ctx, c.o.Carry, plain)
	switch {
	case errors.Is(err, envelope.ErrForged), errors.Is(err, envelope.ErrMalformed):
		return nil, none, replication.Errorf(replication.Uncertain, "the primary's answer cannot be trusted, and whether "+
			"it has carried out the request is not known: %w", err)
	case err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return nil, none, replication.Errorf(replication.KindOf(err), "%w: %v", ctx.Err(), err)
	case err != nil:
		return nil, none, err
	}
	if answer, err = split(raw, &ah); err != nil {
		return nil, none, replication.Errorf(replication.Uncertain, "the primary's answer cannot be read: run the same "+
			"version on both clusters: %w", err)
	}
	if ah.Failed {
		return nil, ah, replication.Errorf(ah.ErrorKind, "%s", ah.Error)
	}
	return answer, ah, nil
}

// forPrimary is how long the primary may take when the caller has so much time left. The
// primary's answer must still find the caller waiting.
func forPrimary(left time.Duration) time.Duration {
	// No time left is still a bound. 0 would be none.
	return max(left-min(left/10, time.Second), 1)
}

// tooLarge has the status that Vault gives a body that is too large for it.
func tooLarge(size int) error {
	return replication.Errorf(replication.InvalidInput, "%w", &logical.ReplicationCodedError{
		Code: http.StatusRequestEntityTooLarge,
		Msg: fmt.Sprintf("the request has %d bytes, more than the %d that can be forwarded to the primary: send it to the "+
			"primary itself", size, bodyMax),
	})
}

// Do has the primary carry out a logical request.
//
// When the primary has written, Do returns once that has arrived here, or with a warning if it does not arrive in time.
// It also waits after a write that changed nothing, because an earlier write of the same values may not be here yet.
// And it waits after a read that reports a change, such as the end of a remount, because the client will look for the
// change here. In that case it does not warn.
//
// It does not wait for what a renewal or a revocation of a lease has written. Vault holds
// the lease's lock meanwhile. An unmount that has to be taken up before revokes the leases
// of the mount: each would wait for the other.
func (c *Client) Do(ctx context.Context, req *wire.Request) (*wire.Answer, error) {
	body, err := wire.EncodeRequest(req)
	if err != nil {
		return nil, replication.Errorf(replication.InvalidInput, "the request cannot be forwarded to the primary: %w", err)
	}
	raw, ah, err := c.call(ctx, KindRequest, body)
	if err != nil {
		return nil, err
	}
	a, err := wire.DecodeAnswer(raw)
	if err != nil {
		return nil, replication.Errorf(replication.Uncertain, "the primary's answer cannot be read: run the same version "+
			"on both clusters: %w", err)
	}
	op := req.Logical.Operation
	told := (op == logical.ReadOperation || op == logical.ListOperation) && !ah.Wrote
	if ah.At.Epoch.IsZero() {
		return a, nil
	}
	if !told {
		c.o.Wrote(ah.At)
	}
	if op == logical.RenewOperation || op == logical.RevokeOperation {
		return a, nil
	}
	wait, cancel := context.WithTimeout(ctx, c.o.BestEffortWait)
	defer cancel()
	if c.o.Wait(wait, ah.At) != nil && a.Err == nil && !told {
		warn(a)
	}
	return a, nil
}

// warn adds to the answer that it is ahead of this cluster.
func warn(a *wire.Answer) {
	const text = "The primary has carried out the request, and this cluster has not received what it changed yet: a " +
		"read here may show the state of before."
	if a.Response == nil {
		a.Response = &logical.Response{}
	}
	if a.Response.IsError() {
		return
	}
	a.Response.AddWarning(text)
}
