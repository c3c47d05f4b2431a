// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Tamper breaks something on purpose, to see that a check finds it.
type Tamper struct {
	frame  func(*storage.Tap, *replication.Frame) *replication.Frame
	ranges func(*replication.Range)
	cursor func(*replication.Cursor)
	apply  func(*process) func(context.Context, replication.Mode, *replication.Frame) (*replication.Cursor, error)
}
