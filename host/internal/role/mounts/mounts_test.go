// SPDX-License-Identifier: MPL-2.0

package mounts

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Before the declaration of a backend is kept, secondaries are told what it changes. If either fails, the next load
// tells them again.
func TestPrefixesAreToldBeforeTheyAreKept(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]struct{ tell, keep int }{
		"nothing fails": {}, "telling fails once": {tell: 1}, "keeping fails once": {keep: 1},
	} {
		m := keyclass.NewMounts()
		_, err := m.SetTable("core/mounts", []vaultname.Mount{{UUID: "ext", Type: "own", External: true}})
		require.NoError(t, err)
		var c keyclass.Classifier
		c.SetMounts(m)
		failure := errors.New("the storage is away")
		var calls []string
		learn := func() error {
			return learnPrefixes(m, "ext", []string{"here/"}, func(changed []string) error {
				require.Equal(t, []string{"logical/ext/"}, changed, name)
				calls = append(calls, "tell")
				if fails.tell--; fails.tell >= 0 {
					return failure
				}
				return nil
			}, func() error {
				calls = append(calls, "keep")
				if fails.keep--; fails.keep >= 0 {
					return failure
				}
				return nil
			})
		}
		if fails.tell+fails.keep > 0 {
			require.ErrorIs(t, learn(), failure, name)
			require.Equal(t, keyclass.Unknown, c.Class("logical/ext/a"), "%s: it is held again", name)
			calls = nil
		}
		require.NoError(t, learn(), name)
		require.Equal(t, []string{"tell", "keep"}, calls, name)
		require.Equal(t, keyclass.Shared, c.Class("logical/ext/a"), name)
		require.Equal(t, keyclass.Local, c.Class("logical/ext/here/a"), name)
		require.NoError(t, learn(), name)
		require.Len(t, calls, 2, "%s: nothing has changed since", name)
	}
}

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
