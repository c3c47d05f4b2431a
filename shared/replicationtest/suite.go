// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Connect makes a [Probe] that reaches the host, over the transport under test,
// and returns the host's view of it. It cleans up with t.Cleanup.
type Connect func(t *testing.T, host replication.Host) replication.Backend

// Suite checks that a transport keeps the contract. Its tests run in parallel,
// each with a connection of its own.
func Suite(t *testing.T, connect Connect) {
	for name, test := range map[string]func(*testing.T, Connect){
		"StartReachesHost":       testStart,
		"RequestsArriveWhole":    testRequests,
		"AnswersArriveWhole":     testAnswers,
		"ErrorKindsSurvive":      testErrorKinds,
		"MissingAnswerIsError":   testMissing,
		"HostCallsArriveWhole":   testHostCalls,
		"HostErrorKindsSurvive":  testHostErrorKinds,
		"AbsentRecordIsNil":      testAbsentRecord,
		"LimitsAreChecked":       testLimits,
		"CancelEndsCall":         testCancel,
		"DeadlineEndsCall":       testDeadline,
		"CancelReachesHost":      testCancelReachesHost,
		"FramesComeOneByOne":     testFrames,
		"LostPositionInStream":   testPositionLost,
		"CancelEndsJournal":      testCancelJournal,
		"LargePayloadsPass":      testLargePayload,
		"DialCarriesData":        testDial,
		"DialErrors":             testDialErrors,
		"ServeConnCarriesData":   testServeConn,
		"ServeConnTellsVerdict":  testServeConnError,
		"ServeConnEndsOnCancel":  testServeConnCancel,
		"ForwardArrivesWhole":    testForward,
		"ForwardErrorsSurvive":   testForwardErrors,
		"ForwardDeadlineTravels": testForwardDeadline,
		"ForwardEndsOnCancel":    testForwardCancel,
		"ForwardsRunAtOnce":      testForwardConcurrent,
		"CallsRunConcurrently":   testConcurrent,
		"ManyConnectionsAtOnce":  testManyConns,
		"ConnectionsCloseInTime": testDialPeerCloses,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, connect)
		})
	}
}

// kinds are all kinds of the contract.
var kinds = []replication.Kind{
	replication.Internal, replication.InvalidInput, replication.Denied, replication.Unavailable,
	replication.PositionLost, replication.NotFound, replication.Unreachable, replication.StorageFailed,
	replication.Uncertain,
}

func command(t *testing.T, b replication.Backend, text string) (*replication.Transition, error) {
	t.Helper()
	return b.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{PrimaryClusterAddr: text})
}

func requireError(t *testing.T, err error, kind replication.Kind, message string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, kind, replication.KindOf(err), "%v", err)
	require.Equal(t, message, err.Error())
}

func testStart(t *testing.T, connect Connect) {
	got := make(chan string, 1)
	host := &Host{PutStateFunc: func(_ context.Context, key string, value []byte) error {
		got <- key + string(value)
		return nil
	}}
	b := connect(t, host)
	require.NoError(t, b.Start(t.Context(), replication.StartRequest{Role: replication.Secondary, ClusterID: "set",
		Contested: true, OnlyGiven: true}))
	require.Equal(t, `started{"Role":"secondary","ClusterID":"set","Contested":true,"OnlyGiven":true}`, <-got)
	require.NoError(t, b.Stop(t.Context()))
}

func testRequests(t *testing.T, connect Connect) {
	b, ctx := connect(t, &Host{}), t.Context()
	check := func(want any, tr *replication.Transition, err error) {
		t.Helper()
		require.NoError(t, err)
		text, err := json.Marshal(want)
		require.NoError(t, err)
		require.JSONEq(t, string(text), string(tr.PutState["request"]))
	}
	tr, err := b.DemotePrimary(ctx)
	check("DemotePrimary", tr, err)
	tr, err = b.DisablePrimary(ctx)
	check("DisablePrimary", tr, err)
	tr, err = b.DisableSecondary(ctx)
	check("DisableSecondary", tr, err)
	enable := replication.EnableSecondaryRequest{Bundle: []byte{1}, ID: "i", Challenge: []byte{2}}
	tr, err = b.EnableSecondary(ctx, enable)
	check(enable, tr, err)
	promote := replication.PromoteSecondaryRequest{PrimaryClusterAddr: "a", Force: true}
	tr, err = b.PromoteSecondary(ctx, promote)
	check(promote, tr, err)
	update := replication.UpdatePrimaryRequest{Bundle: []byte{1}, ID: "i", Addrs: []string{"a", "b"}, Challenge: []byte{2}}
	tr, err = b.UpdatePrimary(ctx, update)
	check(update, tr, err)
	token, err := b.SecondaryToken(ctx, replication.SecondaryTokenRequest{ID: "i"})
	require.NoError(t, err)
	require.Equal(t, &replication.SecondaryTokenResponse{Bundle: []byte(`{"ID":"i"}`), ClusterID: "set",
		Certificate: []byte("certificate")}, token)
	requireError(t, b.RevokeSecondary(ctx, replication.RevokeSecondaryRequest{ID: "i"}), replication.NotFound,
		`no secondary "i"`)
	requireError(t, b.Recover(ctx), replication.StorageFailed, "the disk is full")
}

func testAnswers(t *testing.T, connect Connect) {
	b := connect(t, &Host{})
	status, err := b.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, ProbeStatus(), status)
	tr, err := command(t, b, "transition")
	require.NoError(t, err)
	require.Equal(t, ProbeTransition(), tr)
}

func testErrorKinds(t *testing.T, connect Connect) {
	b := connect(t, &Host{})
	for _, kind := range kinds {
		_, err := command(t, b, "fail "+strconv.Itoa(int(kind))+" what, why: größer")
		requireError(t, err, kind, "what, why: größer")
	}
}

func testMissing(t *testing.T, connect Connect) {
	tr, err := command(t, connect(t, &Host{}), "nothing")
	// In memory nothing stands between the caller and the fault.
	if tr == nil && err == nil {
		t.Skip("no boundary")
	}
	require.Equal(t, replication.Internal, replication.KindOf(err))
	require.Nil(t, tr)
}

func testCancel(t *testing.T, connect Connect) {
	waiting := make(chan struct{})
	b := connect(t, &Host{PutStateFunc: func(context.Context, string, []byte) error { close(waiting); return nil }})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-waiting; cancel() }()
	_, err := b.EnablePrimary(ctx, replication.EnablePrimaryRequest{PrimaryClusterAddr: "wait"})
	require.ErrorIs(t, err, context.Canceled)
}

func testDeadline(t *testing.T, connect Connect) {
	b := connect(t, &Host{PutStateFunc: func(context.Context, string, []byte) error { return nil }})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := b.EnablePrimary(ctx, replication.EnablePrimaryRequest{PrimaryClusterAddr: "wait"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func testConcurrent(t *testing.T, connect Connect) {
	b := connect(t, &Host{})
	errs := make(chan error)
	for range 32 {
		go func() {
			_, err := b.Status(t.Context())
			errs <- err
		}()
	}
	for range 32 {
		require.NoError(t, <-errs)
	}
}
