// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Probe is a backend that does what it is asked: EnablePrimary takes a command
// in place of an address (see [Probe.EnablePrimary]), requests are answered with
// their own JSON, connections are echoed. It knows no replication.
type Probe struct {
	host   replication.Host
	logger hclog.Logger
}

var _ replication.Backend = (*Probe)(nil)

// NewProbe makes a probe; it fits grpcplugin.Serve.
func NewProbe(host replication.Host, logger hclog.Logger) replication.Backend {
	return &Probe{host: host, logger: logger}
}

// ProbeStatus is what every probe's Status answers: no field is zero.
func ProbeStatus() *replication.Status {
	at := fixedTime()
	peer := replication.Peer{
		NodeID: "n", APIAddress: "https://a", ClusterAddress: "https://c", Connected: true, LastHeartbeat: at,
		LastHeartbeatDuration: 3, ClockSkew: -4, CanaryAge: 5, Acknowledged: 6, Displaced: 9,
	}
	return &replication.Status{
		State: replication.Running, ConnectionState: replication.ConnReady, PrimaryClusterAddr: "https://p",
		KnownPrimaryClusterAddrs: []string{"https://p1", "https://p2"}, KnownSecondaries: []string{"s1"},
		Secondaries: []replication.Peer{peer, {}}, Primaries: []replication.Peer{peer}, SecondaryID: "s", LastStart: at,
		SyncProgress: 7, SyncTotal: 8, LastError: "a sentence",
		FailoverAddrs: []string{"https://f1", "https://f2"},
	}
}

// ProbeTransition is what the command "transition" answers: no field is zero.
func ProbeTransition() *replication.Transition {
	return &replication.Transition{
		Role: replication.Primary, ClusterID: "id", ClearState: true,
		PutState: map[string][]byte{"a": {0, 255}, "b": {1}}, DeleteState: []string{"c"},
		Handover: &replication.Handover{Sealed: []byte{9}}, Warnings: []string{"w"},
		Contested: true,
	}
}

// Start asks the host, which must be reachable by then.
func (p *Probe) Start(ctx context.Context, req replication.StartRequest) error {
	value, err := json.Marshal(req)
	if err != nil {
		return err
	}
	p.logger.Info("probe started", "role", string(req.Role))
	return p.host.PutState(ctx, "started", value)
}

// Stop implements [replication.Backend].
func (p *Probe) Stop(_ context.Context) error { return nil }

// Status implements [replication.Backend].
func (p *Probe) Status(_ context.Context) (*replication.Status, error) { return ProbeStatus(), nil }

// ServeConn echoes until the peer half-closes. A peer named "denied" is refused.
func (p *Probe) ServeConn(_ context.Context, conn net.Conn, peer replication.PeerInfo) error {
	if peer.RemoteAddr == "denied" {
		return replication.Errorf(replication.Denied, "the certificate of %d bytes was revoked", len(peer.Certificate))
	}
	if _, err := io.Copy(conn, conn); err != nil {
		return replication.Errorf(replication.Unreachable, "echo: %w", err)
	}
	return conn.Close()
}

// EnablePrimary carries out the command in PrimaryClusterAddr:
//
//	fail KIND TEXT   fails so
//	nothing          answers neither result nor error
//	transition       answers ProbeTransition
//	wait             waits for the context, after PutState("waiting")
//	host METHOD      calls the host and answers its JSON as the record "result"
//	crash            ends the process
//	hang             ignores the context for ever
func (p *Probe) EnablePrimary(ctx context.Context, req replication.EnablePrimaryRequest) (*replication.Transition,
	error) {
	words := strings.SplitN(req.PrimaryClusterAddr, " ", 3)
	switch words[0] {
	case "fail":
		kind, err := strconv.Atoi(words[1])
		if err != nil {
			return nil, err
		}
		return nil, replication.Errorf(replication.Kind(kind), "%s", words[2])
	case "nothing":
		return nil, nil
	case "transition":
		return ProbeTransition(), nil
	case "wait":
		if err := p.host.PutState(ctx, "waiting", nil); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	case "host":
		result, err := p.callHost(ctx, words[1])
		if err != nil {
			return nil, err
		}
		return reply("result", result)
	case "crash":
		os.Exit(3)
	case "hang":
		select {}
	}
	return nil, fmt.Errorf("the probe does not know %q", req.PrimaryClusterAddr)
}

func reply(name string, value any) (*replication.Transition, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return &replication.Transition{PutState: map[string][]byte{name: text}}, nil
}

// DemotePrimary implements [replication.Backend].
func (p *Probe) DemotePrimary(_ context.Context) (*replication.Transition, error) {
	return reply("request", "DemotePrimary")
}

// DisablePrimary implements [replication.Backend].
func (p *Probe) DisablePrimary(_ context.Context) (*replication.Transition, error) {
	return reply("request", "DisablePrimary")
}

// SecondaryToken implements [replication.Backend].
func (p *Probe) SecondaryToken(_ context.Context, req replication.SecondaryTokenRequest) (
	*replication.SecondaryTokenResponse, error) {
	text, err := json.Marshal(req)
	return &replication.SecondaryTokenResponse{Bundle: text, ClusterID: "set", Certificate: []byte("certificate")}, err
}

// RevokeSecondary knows nobody.
func (p *Probe) RevokeSecondary(_ context.Context, req replication.RevokeSecondaryRequest) error {
	return replication.Errorf(replication.NotFound, "no secondary %q", req.ID)
}

// EnableSecondary implements [replication.Backend].
func (p *Probe) EnableSecondary(_ context.Context, req replication.EnableSecondaryRequest) (*replication.Transition,
	error) {
	return reply("request", req)
}

// PromoteSecondary implements [replication.Backend].
func (p *Probe) PromoteSecondary(_ context.Context, req replication.PromoteSecondaryRequest) (*replication.Transition,
	error) {
	return reply("request", req)
}

// DisableSecondary implements [replication.Backend].
func (p *Probe) DisableSecondary(_ context.Context) (*replication.Transition, error) {
	return reply("request", "DisableSecondary")
}

// UpdatePrimary implements [replication.Backend].
func (p *Probe) UpdatePrimary(_ context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition,
	error) {
	return reply("request", req)
}

// Recover implements [replication.Backend].
func (p *Probe) Recover(_ context.Context) error {
	return replication.Errorf(replication.StorageFailed, "the disk is full")
}

// Forward gives the payload to the host, as if the secondary "s" had sent it, and returns
// the host's answer. The payload "crash" ends the process instead.
func (p *Probe) Forward(ctx context.Context, req replication.ForwardRequest) (*replication.ForwardResponse, error) {
	if string(req.Payload) == "crash" {
		os.Exit(3)
	}
	res, err := p.host.Receive(ctx, replication.ReceiveRequest{SecondaryID: "s", Payload: req.Payload})
	if err != nil {
		return nil, err
	}
	return &replication.ForwardResponse{Payload: res.Payload}, nil
}
