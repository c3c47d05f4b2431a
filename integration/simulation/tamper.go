// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Tamper breaks something on purpose, so that a check must find it. Its zero value breaks
// nothing. The product has no seam for it: everything is done around the product.
type Tamper struct {
	// plan changes what the seed has decided.
	plan func(*plan)
	// options changes those of the taps.
	options func(*storage.Options)
	// never lets the index of a leader be compared with its storage as it is once an hour.
	never bool
	// filter changes the paths filter that a primary puts in force.
	filter func(*rule) *rule
	// deaf cores take up no table of mounts.
	deaf bool
	// frame changes what the primary's host has read; nil leaves it out.
	frame func(*storage.Tap, *replication.Frame) *replication.Frame
	// ranges changes a range that was read.
	ranges func(*replication.Range)
	// cursor changes what a secondary's host says.
	cursor func(*replication.Cursor)
	// apply replaces a secondary's ApplyFrame.
	apply func(*process) applyFrame
	// disks changes the disks before the run.
	disks func(primary *disk, secondaries []*disk)
	// rest is called when all is quiet, before the last checks.
	rest func(secondaries []*disk)
}

type applyFrame func(context.Context, *replication.Frame) (*replication.Cursor, error)
