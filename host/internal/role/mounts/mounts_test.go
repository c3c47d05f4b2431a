// SPDX-License-Identifier: MPL-2.0

package mounts

import (
	"context"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// lists counts how often directories are listed.
type lists struct {
	physical.Backend
	of map[string]int
}

func (l lists) List(ctx context.Context, prefix string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.of[prefix]++
	return l.Backend.List(ctx, prefix)
}

// A table changes the classes of views, and journalling their keys fails. The keys are journalled when the table is
// taken up again, although the table itself then changes nothing.
func TestTableThatFailedIsOwed(t *testing.T) {
	t.Parallel()
	inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	listed := map[string]int{}
	l := New(nil, storage.New(lists{inner, listed}, storage.Options{}), nil, hclog.NewNullLogger())
	_, err = l.known.SetTable("core/mounts", []vaultname.Mount{{UUID: "a", Type: "kv"}})
	require.NoError(t, err)
	ended, end := context.WithCancel(t.Context())
	end()
	require.Error(t, l.TableWritten(ended, "core/mounts", nil))
	require.Empty(t, listed)
	require.NoError(t, l.TableWritten(t.Context(), "core/mounts", nil))
	require.Equal(t, 1, listed["logical/a/"])
	require.NoError(t, l.TableWritten(t.Context(), "core/mounts", nil))
	require.Equal(t, 1, listed["logical/a/"])
}
