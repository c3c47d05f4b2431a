// SPDX-License-Identifier: MPL-2.0

package forward

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/vault-replication/vault-replication/host/internal/forward/envelope"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Kind names a kind of call.
type Kind string

// KindRequest is a logical request: its bodies are those of package wire.
const KindRequest Kind = "request"

// bodyMax is the size of the largest body, in bytes.
const bodyMax = replication.PayloadMax - envelope.Overhead - headerMax

// headerMax bounds a header.
const headerMax = 64 << 10

type callHeader struct {
	Kind Kind `json:"kind"`
	// Timeout is what the caller has left; 0 is no bound.
	Timeout time.Duration `json:"timeout,omitempty"`
}

type answerHeader struct {
	// Failed says that the call failed with Error and ErrorKind.
	Failed    bool             `json:"failed,omitempty"`
	ErrorKind replication.Kind `json:"error_kind,omitempty"`
	Error     string           `json:"error,omitempty"`
	// Wrote says that the primary's journal moved during the call, At is its
	// position then.
	Wrote bool                 `json:"wrote,omitempty"`
	At    replication.Position `json:"at"`
}

func join(header any, body []byte) ([]byte, error) {
	raw, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	out := binary.AppendUvarint(make([]byte, 0, len(raw)+len(body)+binary.MaxVarintLen32), uint64(len(raw)))
	return append(append(out, raw...), body...), nil
}

func split(b []byte, header any) (body []byte, err error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) || n > headerMax {
		return nil, envelope.ErrMalformed
	}
	b = b[used:]
	if err := json.Unmarshal(b[:n], header); err != nil {
		return nil, err
	}
	if h, ok := header.(*callHeader); ok && h.Timeout < 0 {
		return nil, envelope.ErrMalformed
	}
	return b[n:], nil
}
