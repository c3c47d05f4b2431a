// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"cmp"
	"context"
	"slices"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/delivery"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Forward carries a request of the host to the primary's host and the answer back, over the
// live session. It waits for its turn there, see [link.Forwards]. It neither waits for a
// session nor tries another. A client is waiting, and only the client can say whether to try
// again.
func (c *Client) Forward(ctx context.Context, payload []byte) ([]byte, error) {
	s := c.live.Load()
	if s == nil {
		return nil, replication.Errorf(replication.Unreachable, "there is no connection to the primary now: %s",
			cmp.Or(c.status.why(), "the first attempt has not ended"))
	}
	leave, err := s.forwards.Wait(ctx, len(payload))
	if err != nil {
		return nil, err
	}
	defer leave()
	res := &linkv1.ForwardResponse{}
	method, requests := linkv1.Link_Forward_FullMethodName, []any{&linkv1.ForwardRequest{Payload: payload}}
	if len(payload) > link.ForwardPart {
		method, requests = linkv1.Link_ForwardLarge_FullMethodName, inParts(payload)
	}
	sent, err := delivery.Call(ctx, s.conn, method, requests, res)
	if err != nil {
		return nil, link.FromForward(ctx, sent, err)
	}
	return res.GetPayload(), nil
}

// inParts cuts a payload into parts, because no message to a primary may be large.
func inParts(payload []byte) []any {
	var parts []any
	size := uint64(len(payload))
	for part := range slices.Chunk(payload, link.ForwardPart) {
		parts = append(parts, &linkv1.ForwardLargeRequest{Size: size, Part: part})
		size = 0
	}
	return parts
}
