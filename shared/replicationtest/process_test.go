// SPDX-License-Identifier: MPL-2.0

package replicationtest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/replicationtest"
)

func TestCrashIsUnavailableAndNamesThePlugin(t *testing.T) {
	t.Parallel()
	_, b := start(t, &replicationtest.Host{}, false)
	_, err := b.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{PrimaryClusterAddr: "crash"})
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
	require.ErrorContains(t, err, `"probe"`)
	<-b.Lost()
	_, err = b.Status(t.Context())
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
}

func TestCrashEndsTheHostsCalls(t *testing.T) {
	t.Parallel()
	reading, ended := make(chan struct{}), make(chan struct{})
	_, b := start(t, &replicationtest.Host{
		ReadJournalFunc: func(ctx context.Context, _ replication.ReadJournalRequest) (replication.FrameReader, error) {
			return replicationtest.Frames{NextFunc: func() (*replication.Frame, error) {
				close(reading)
				<-ctx.Done()
				close(ended)
				return nil, ctx.Err()
			}}, nil
		},
	}, false)
	read := make(chan error, 1)
	go func() {
		_, err := b.EnablePrimary(context.WithoutCancel(t.Context()), replication.EnablePrimaryRequest{PrimaryClusterAddr: "host ReadJournal"})
		read <- err
	}()
	<-reading
	_, err := b.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{PrimaryClusterAddr: "crash"})
	require.Error(t, err)
	<-ended
	require.Equal(t, replication.Unavailable, replication.KindOf(<-read))
}

func TestDetachEndsTheProcess(t *testing.T) {
	t.Parallel()
	client, b := start(t, &replicationtest.Host{}, false)
	b.Detach()
	require.Eventually(t, client.Exited, exitWait, exitTick)
	_, err := b.Status(t.Context())
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
}

func TestPanicInTheHostIsAnErrorNotAnEnd(t *testing.T) {
	t.Parallel()
	_, b := start(t, &replicationtest.Host{
		EndCopyFunc: func(context.Context) (*replication.Cursor, error) { panic("fault") },
		ReadJournalFunc: func(context.Context, replication.ReadJournalRequest) (replication.FrameReader, error) {
			panic("fault")
		},
	}, false)
	for _, method := range []string{"EndCopy", "ReadJournal"} {
		_, err := b.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{PrimaryClusterAddr: "host " + method})
		require.Equal(t, replication.Internal, replication.KindOf(err), "%v", err)
		require.ErrorContains(t, err, "log")
	}
}
