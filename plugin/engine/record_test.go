// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/plugin/engine/internal/enginetest"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// The messages of a release are kept, and played to each later one:
//
//	go test ./plugin/engine -run TestRecord -record NAME
//
// writes those of this build into testdata/recorded/NAME. Do that for a release, and never change what is there.
var record = flag.String("record", "", "write the messages of this build to testdata/recorded/NAME")

const recordings = "testdata/recorded"

// linked is a host whose connections to another cluster have a relay.
type linked struct {
	*enginetest.Host
	clock *clock
	links *[]*conversation
}

func (h *linked) Dial(ctx context.Context, req replication.DialRequest) (net.Conn, error) {
	conn, err := h.Host.Dial(ctx, req)
	if err != nil {
		return nil, err
	}
	cc, err := link.NewClientConn(conn)
	if err != nil {
		return nil, err
	}
	c := &conversation{clock: h.clock}
	*h.links = append(*h.links, c)
	near, far := net.Pipe()
	go func() {
		serveLink(far, c.relay(func(string) (grpc.ClientConnInterface, error) { return cc, nil }, nil))
		_ = cc.Close()
	}()
	return near, nil
}

// later is what a test waits for: the clock is the real one here.
func later(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, time.Minute, 10*time.Millisecond, what)
}

// fresh makes the host of a primary with five keys and without any journal rows.
func fresh(n *enginetest.Network) *enginetest.Host {
	h := enginetest.NewHost(n, "a", primaryAddr)
	h.SetEpoch(epoch(1, "one"))
	for i := range 5 {
		h.Write(fmt.Sprintf("key-%d", i), "first")
	}
	h.Forget()
	return h
}

// TestRecord records a primary and a secondary, each a plugin with its host. The secondary joins, copies and gets rows;
// a request is forwarded; another secondary is registered; the primary is demoted.
func TestRecord(t *testing.T) {
	if *record == "" {
		t.Skip("nothing to record")
	}
	ctx, network, now := t.Context(), enginetest.NewNetwork(), &clock{}
	links := []*conversation{}
	a := fresh(network)
	b := enginetest.NewHost(network, "b", secondaryAddr)
	a.OnReceive(func(_ context.Context, id string, payload []byte) ([]byte, error) {
		return fmt.Appendf(nil, "%s of %s", payload, id), nil
	})
	factory := func(h replication.Host, l hclog.Logger) replication.Backend {
		return engine.New(engine.Config{Mode: replication.DR}, h, l)
	}
	before := factory(a, nil)
	require.NoError(t, before.Start(ctx, replication.StartRequest{Role: replication.Disabled}))
	enabled, err := before.EnablePrimary(ctx, replication.EnablePrimaryRequest{})
	require.NoError(t, err)
	a.CarryOut(enabled, epoch(1, "one"))
	asPrimary := replication.StartRequest{Role: replication.Primary, ClusterID: enabled.ClusterID}
	require.NoError(t, before.Start(ctx, asPrimary))
	token, err := before.SecondaryToken(ctx, replication.SecondaryTokenRequest{ID: "sec"})
	require.NoError(t, err)
	require.NoError(t, before.Stop(ctx))

	pa, sb := &conversation{clock: now}, &conversation{clock: now}
	p := recordedPlugin(t, pa, &grpcplugin.Plugin{Factory: factory, Host: a, PluginName: "a"})
	s := recordedPlugin(t, sb, &grpcplugin.Plugin{Factory: factory, Host: &linked{b, now, &links}, PluginName: "b"})
	a.SetBackend(p)
	require.NoError(t, p.Start(ctx, asPrimary))
	require.NoError(t, s.Start(ctx, replication.StartRequest{Role: replication.Disabled}))
	joined, err := s.EnableSecondary(ctx, replication.EnableSecondaryRequest{Bundle: token.Bundle, ID: "sec",
		Challenge: []byte("challenge")})
	require.NoError(t, err)
	require.NoError(t, s.Stop(ctx))
	b.CarryOut(joined, replication.Epoch{})
	require.NoError(t, s.Start(ctx, replication.StartRequest{Role: replication.Secondary, ClusterID: joined.ClusterID}))
	later(t, "the first copy", func() bool { return maps.Equal(a.Content(), b.Content()) })
	for i := range 3 {
		later(t, "what was sent is acknowledged", func() bool { return a.Slots()["sec"] == a.Now().Sequence })
		a.Write(fmt.Sprintf("live-%d", i), "second")
	}
	later(t, "what was sent is acknowledged", func() bool { return a.Slots()["sec"] == a.Now().Sequence })
	answer, err := s.Forward(ctx, replication.ForwardRequest{Payload: []byte("request")})
	require.NoError(t, err)
	require.Equal(t, "request of sec", string(answer.Payload))
	_, err = p.SecondaryToken(ctx, replication.SecondaryTokenRequest{ID: "other"})
	require.NoError(t, err)
	_, err = p.SecondaryToken(ctx, replication.SecondaryTokenRequest{ID: "sec"})
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
	for _, b := range []replication.Backend{p, s} {
		_, err := b.Status(ctx)
		require.NoError(t, err)
	}
	_, err = p.DemotePrimary(ctx)
	require.NoError(t, err)
	require.NoError(t, p.Stop(ctx))
	later(t, "the secondary knows", func() bool {
		status, err := s.Status(ctx)
		return err == nil && status.ConnectionState != replication.ConnReady
	})
	require.NoError(t, s.Stop(ctx))

	dir := filepath.Join(recordings, *record)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, pa.write(filepath.Join(dir, "primary.txt")))
	require.NoError(t, sb.write(filepath.Join(dir, "secondary.txt")))
	require.Len(t, links, 2, "the join and the session")
	for i, c := range links {
		require.NoError(t, c.write(filepath.Join(dir, fmt.Sprintf("link-%d.txt", i+1))))
	}
}
