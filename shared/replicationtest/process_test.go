// SPDX-License-Identifier: MPL-2.0

package replicationtest_test

import (
	"bytes"
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
		_, err := b.EnablePrimary(context.WithoutCancel(t.Context()),
			replication.EnablePrimaryRequest{PrimaryClusterAddr: "host ReadJournal"})
		read <- err
	}()
	<-reading
	_, err := b.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{PrimaryClusterAddr: "crash"})
	require.Error(t, err)
	<-ended
	require.Equal(t, replication.Unavailable, replication.KindOf(<-read))
}

func TestEndOfTheConnectionEndsTheProcess(t *testing.T) {
	t.Parallel()
	client, b := start(t, &replicationtest.Host{}, false)
	protocol, err := client.Client()
	require.NoError(t, err)
	require.NoError(t, protocol.Close())
	require.Eventually(t, client.Exited, exitWait, exitTick)
	<-b.Lost()
	_, err = b.Status(t.Context())
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

// Nobody knows how far a plugin had come that ended under a request; after that,
// nothing is delivered.
func TestCrashUnderAForwardedRequestIsUncertain(t *testing.T) {
	t.Parallel()
	_, b := start(t, &replicationtest.Host{}, false)
	_, err := b.Forward(t.Context(), replication.ForwardRequest{Payload: []byte("crash")})
	require.Equal(t, replication.Uncertain, replication.KindOf(err), "%v", err)
	require.ErrorContains(t, err, `"probe"`)
	<-b.Lost()
	<-b.Exited()
	_, err = b.Forward(t.Context(), replication.ForwardRequest{Payload: []byte("x")})
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
}

// Not in the suite: go-plugin's connection within one process has limits of its
// own.
func TestForwardedPayloadsMayBeLarge(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("0123456789abcdef"), replication.PayloadMax/16)
	host := &replicationtest.Host{ReceiveFunc: func(_ context.Context, req replication.ReceiveRequest) (
		*replication.ReceiveResponse, error) {
		if len(req.Payload) == 0 {
			return &replication.ReceiveResponse{Payload: large}, nil
		}
		if !bytes.Equal(large, req.Payload) {
			return nil, replication.Errorf(replication.InvalidInput, "the payload arrived changed")
		}
		return &replication.ReceiveResponse{}, nil
	}}
	for _, multiplex := range []bool{true, false} {
		_, b := start(t, host, multiplex)
		_, err := b.Forward(t.Context(), replication.ForwardRequest{Payload: large})
		require.NoError(t, err)
		res, err := b.Forward(t.Context(), replication.ForwardRequest{})
		require.NoError(t, err)
		require.True(t, bytes.Equal(large, res.Payload))
	}
}
