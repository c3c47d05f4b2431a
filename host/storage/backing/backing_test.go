// SPDX-License-Identifier: MPL-2.0

package backing_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/backing"
)

var errDamaged = errors.New("unexpected EOF")

// damaged is a storage that cannot read one key.
type damaged struct {
	physical.Backend
	key string
}

func (d damaged) Get(ctx context.Context, key string) (*physical.Entry, error) {
	if key == d.key {
		return nil, errDamaged
	}
	return d.Backend.Get(ctx, key)
}

// One damaged row stops whatever reads all rows. Its key tells what to remove.
func TestKeyThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	b := backing.New(damaged{inner, "core/b"}, backing.Options{})
	for _, keys := range [][]string{{"core/a", "core/b"}, {"1", "2", "3", "4", "5", "6", "7", "8", "core/b"}} {
		_, err := b.ReadAll(t.Context(), keys)
		require.ErrorIs(t, err, errDamaged)
		require.ErrorContains(t, err, `"core/b"`)
	}
}
