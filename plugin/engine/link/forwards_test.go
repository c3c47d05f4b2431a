// SPDX-License-Identifier: MPL-2.0

package link_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestForwardsAreBounded(t *testing.T) {
	t.Parallel()
	var f link.Forwards
	enter := func(size int) func() {
		leave, err := f.Enter(size)
		require.NoError(t, err)
		return leave
	}
	refused := func(size int) {
		_, err := f.Enter(size)
		require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
	}
	_, err := f.Enter(replication.PayloadMax + 1)
	require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%v", err)
	for range link.ForwardBytesMax/replication.PayloadMax - 1 {
		defer enter(replication.PayloadMax)()
	}
	last := enter(replication.PayloadMax)
	refused(1)
	enter(0)()
	last()
	for range link.ForwardsMax - 3 {
		defer enter(1)()
	}
	refused(1)
}

func TestErrorsOfForwardedRequests(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		sent bool
		code codes.Code
		want replication.Kind
	}{
		"refused":              {t.Context(), true, codes.PermissionDenied, replication.Denied},
		"too many":             {t.Context(), true, codes.Aborted, replication.Unavailable},
		"refused before":       {t.Context(), false, codes.Aborted, replication.Unavailable},
		"fault":                {t.Context(), true, codes.Internal, replication.Uncertain},
		"cut":                  {t.Context(), true, codes.Unavailable, replication.Uncertain},
		"cut before":           {t.Context(), false, codes.Unavailable, replication.Unreachable},
		"the primary gave up":  {t.Context(), true, codes.DeadlineExceeded, replication.Uncertain},
		"answer too large":     {t.Context(), true, codes.ResourceExhausted, replication.Uncertain},
		"an older primary":     {t.Context(), true, codes.Unimplemented, replication.InvalidInput},
		"nobody waits":         {ended, true, codes.Canceled, replication.Uncertain},
		"nobody waited":        {ended, false, codes.Canceled, replication.Unreachable},
		"the host is not sure": {t.Context(), true, codes.Unknown, replication.Uncertain},
	} {
		err := link.FromForward(c.ctx, c.sent, status.Error(c.code, "why"))
		require.Equal(t, c.want, replication.KindOf(err), "%s: %v", name, err)
	}
}
