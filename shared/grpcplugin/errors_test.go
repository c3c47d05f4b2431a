// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func testLink(done <-chan struct{}) link {
	return link{peer: `plugin "x"`, hint: "try again", done: done}
}

func TestErrorsOfTheContractSurvive(t *testing.T) {
	t.Parallel()
	for kind := range codeOf {
		err := testLink(nil).err(t.Context(), toStatus(replication.Errorf(kind, "why")))
		require.Equal(t, kind, replication.KindOf(err))
		require.Equal(t, "why", err.Error())
	}
	// A kind that this side does not know yet.
	err := testLink(nil).err(t.Context(), toStatus(replication.Errorf(99, "why")))
	require.Equal(t, replication.Kind(99), replication.KindOf(err))
	// Wrapped: the kind of the contract, the words of all.
	err = testLink(nil).err(t.Context(),
		toStatus(fmt.Errorf("outer: %w", replication.Errorf(replication.Denied, "inner"))))
	require.Equal(t, replication.Denied, replication.KindOf(err))
	require.Equal(t, "outer: inner", err.Error())
	// The contract's error wins over the context it was made of.
	err = testLink(nil).err(t.Context(),
		toStatus(replication.Errorf(replication.Unreachable, "dial: %w", context.DeadlineExceeded)))
	require.Equal(t, replication.Unreachable, replication.KindOf(err))
}

func TestOtherErrorsAreInternal(t *testing.T) {
	t.Parallel()
	err := testLink(nil).err(t.Context(), toStatus(errors.New("disk \xff on fire")))
	require.Equal(t, replication.Internal, replication.KindOf(err))
	require.Equal(t, "disk \uFFFD on fire", err.Error())
	require.NoError(t, toStatus(nil))
	require.NoError(t, testLink(nil).err(t.Context(), nil))
	require.Equal(t, io.EOF, testLink(nil).err(t.Context(), io.EOF))
}

func TestLongErrorsAreCut(t *testing.T) {
	t.Parallel()
	err := testLink(nil).err(t.Context(), toStatus(errors.New(strings.Repeat("ä", 1<<20))))
	require.Less(t, len(err.Error()), messageMax+10)
}

func TestFaultsOfTheBoundary(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	close(ended)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		done chan struct{}
		code codes.Code
		kind replication.Kind
		is   error
		says string
	}{
		"caller cancelled":      {ctx: cancelled, code: codes.Canceled, is: context.Canceled},
		"caller gone, any code": {ctx: cancelled, code: codes.Unavailable, is: context.Canceled},
		"peer cancelled":        {code: codes.Canceled, kind: replication.Unavailable, says: "ended the call"},
		"peer saw deadline":     {code: codes.DeadlineExceeded, is: context.DeadlineExceeded},
		"connection broke":      {code: codes.Unavailable, kind: replication.Unavailable, says: "gone"},
		"process ended":         {code: codes.Unavailable, done: ended, kind: replication.Unavailable, says: "has ended"},
		"peer is older":         {code: codes.Unimplemented, kind: replication.Internal, says: "older"},
		"message too large":     {code: codes.ResourceExhausted, kind: replication.Internal, says: "limit"},
		"anything else":         {code: codes.DataLoss, kind: replication.Internal, says: "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := tc.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			err := testLink(tc.done).err(ctx, status.Error(tc.code, "riddle"))
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
				return
			}
			require.Equal(t, tc.kind, replication.KindOf(err))
			require.ErrorContains(t, err, tc.says)
			require.ErrorContains(t, err, `plugin "x"`)
		})
	}
}
