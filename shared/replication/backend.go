// SPDX-License-Identifier: MPL-2.0

package replication

import (
	"context"
	"net"
	"time"
)

// Backend is what a replication plugin implements: the protocol of one mode.
// The host calls it; it never changes a role by itself but returns a
// [Transition], which the host carries out as one step.
//
// All methods may be called concurrently, except Start and Stop, which the host
// calls one at a time. Errors are [*Error] where the caller can act on them.
type Backend interface {
	// Start gives the plugin the role of its cluster. The host calls it when the
	// node has become active, after each change of role, and after the plugin
	// was restarted. The plugin reads its records through the host, begins its
	// work (listening as a primary, connecting as a secondary) and returns
	// without waiting for any other cluster. A Start while started replaces the
	// former one.
	Start(ctx context.Context, req StartRequest) error
	// Stop ends all sessions and waits for them. The host calls it before the
	// node seals, steps down or changes its role. Idempotent.
	Stop(ctx context.Context) error
	// Status reports the sessions. It must not wait for another cluster.
	Status(ctx context.Context) (*Status, error)
	// ServeConn takes over a connection that arrived on the cluster port for the mode's
	// ALPN name. The host has verified the client's certificate against the CA given to
	// [Host.Listen], and that it belongs to a secondary that is wanted. The plugin owns the
	// connection and returns when it is done.
	ServeConn(ctx context.Context, conn net.Conn, peer PeerInfo) error

	// EnablePrimary makes the records of a new replication set: its id and CA.
	EnablePrimary(ctx context.Context, req EnablePrimaryRequest) (*Transition, error)
	// DemotePrimary leads to a secondary without a primary, of the same set.
	DemotePrimary(ctx context.Context) (*Transition, error)
	// DisablePrimary forgets the set.
	DisablePrimary(ctx context.Context) (*Transition, error)
	// SecondaryToken registers a secondary and makes its activation bundle. An id whose secondary is connected is refused.
	// An id that is registered or was revoked gets a new certificate, and the former one stays refused.
	SecondaryToken(ctx context.Context, req SecondaryTokenRequest) (*SecondaryTokenResponse, error)
	// RevokeSecondary forgets a secondary. It refuses its certificate for ever, and its id until it is registered anew.
	// The host has cut its connections and refuses its certificate already; after a failure it calls again. NotFound for
	// an id that is not registered.
	RevokeSecondary(ctx context.Context, req RevokeSecondaryRequest) error

	// EnableSecondary connects to the primary of the bundle and fetches what is needed to
	// join. If it fails nothing is changed. The context bounds the whole exchange. On a
	// cluster that is a secondary already the bundle may be empty. Then it fetches the
	// handover anew from its primary, with the credentials and the id that it has, and the
	// transition has only the handover.
	EnableSecondary(ctx context.Context, req EnableSecondaryRequest) (*Transition, error)
	// PromoteSecondary leads to a primary of the same set. Without Force it is Unavailable
	// while the secondary is copying or not consistent, and while the set has a primary or
	// may have one. It looks for that primary for 15 seconds at most.
	PromoteSecondary(ctx context.Context, req PromoteSecondaryRequest) (*Transition, error)
	// DisableSecondary forgets the set; the data stays.
	DisableSecondary(ctx context.Context) (*Transition, error)
	// UpdatePrimary points the secondary to another primary of the same set, or
	// to none.
	UpdatePrimary(ctx context.Context, req UpdatePrimaryRequest) (*Transition, error)
	// Recover ends and begins all sessions anew.
	Recover(ctx context.Context) error

	// Forward carries sealed bytes from a secondary's host to its primary's host and brings
	// the answer back. The context's deadline travels along. A request is sent at most once
	// and waits for no connection:
	//
	//   - Uncertain when it was sent and the answer was lost, or the context ended first; then
	//     the context's error is the cause. It may have been carried out.
	//   - Unreachable when it was certainly not delivered, at once when there is no session
	//     with the primary.
	//   - InvalidInput when the cluster is not a secondary, or the payload is larger than
	//     PayloadMax.
	//   - Any other kind is a refusal, by the primary or on the way to it (too many requests
	//     under way, a node that is not active). It was not carried out. The payload of the
	//     answer has the result of the request itself.
	Forward(ctx context.Context, req ForwardRequest) (*ForwardResponse, error)
}

// StartRequest is the role of the cluster at the time of [Backend.Start].
type StartRequest struct {
	Role Role
	// ClusterID is the id of the replication set, empty when Disabled.
	ClusterID string
	// Contested says that the role was taken over by a promotion beside a primary that was
	// connected, see [Transition]. Another cluster may have the same role in the same set.
	// Until an operator asks for it, nothing may begin that would take that cluster's
	// place.
	Contested bool
	// OnlyGiven says that a secondary connects to its primary at the addresses that an operator
	// gave and at no other: the first one of a bundle, or all of update-primary.
	OnlyGiven bool
}

// PeerInfo describes the other end of an accepted connection.
type PeerInfo struct {
	// Certificate is the client's leaf certificate, DER.
	Certificate []byte
	RemoteAddr  string
}

// Transition is a change of role that the plugin asks the host to carry out:
// role record and plugin records change in one step, or nothing does.
type Transition struct {
	// Role is the role to take. With Primary the host begins a new epoch.
	Role Role
	// ClusterID is the id of the replication set in that role.
	ClusterID string
	// ClearState removes all of the plugin's records first.
	ClearState bool
	// PutState are records to write, as by [Host.PutState].
	PutState map[string][]byte
	// DeleteState are names of records to delete.
	DeleteState []string
	// Handover is set by EnableSecondary, and by UpdatePrimary with a bundle. It comes from
	// the cluster that is followed from now on.
	Handover *Handover
	// Contested is set by PromoteSecondary when the primary was alive, or may be. There are
	// two primaries then, until an operator ends one. Only Force leads to that.
	Contested bool
	// Warnings are shown to the client beside the host's own.
	Warnings []string
}

// EnablePrimaryRequest has the parameters of primary/enable.
type EnablePrimaryRequest struct {
	// PrimaryClusterAddr is the address to hand to secondaries; empty for the
	// node's own cluster address.
	PrimaryClusterAddr string
}

// SecondaryTokenRequest has the parameters of primary/secondary-token.
type SecondaryTokenRequest struct {
	// ID names the secondary; 1 to 128 characters.
	ID string
}

// SecondaryTokenResponse is an activation bundle. It holds a private key: the
// host wraps it and never logs it.
type SecondaryTokenResponse struct {
	// Bundle is opaque to the host.
	Bundle []byte
	// ClusterID is the id of the replication set.
	ClusterID string
	// Certificate is the secondary's certificate in the bundle, DER. Its subject is the id.
	// The host lets no other certificate in under that id.
	Certificate []byte
}

// RevokeSecondaryRequest has the parameters of primary/revoke-secondary.
type RevokeSecondaryRequest struct{ ID string }

// EnableSecondaryRequest has what the host found in an activation token.
type EnableSecondaryRequest struct {
	// Bundle is from a SecondaryTokenResponse. It is empty for a secondary that asks its
	// primary for the handover anew.
	Bundle []byte
	// ID is the secondary's id in the token.
	ID string
	// Challenge is to be passed to the primary's [Host.SealHandover].
	Challenge []byte
}

// PromoteSecondaryRequest has the parameters of secondary/promote.
type PromoteSecondaryRequest struct {
	PrimaryClusterAddr string
	Force              bool
}

// UpdatePrimaryRequest has the parameters of secondary/update-primary. Bundle
// and Addrs both empty means: forget the primary.
type UpdatePrimaryRequest struct {
	Bundle []byte
	ID     string
	// Challenge is to be passed to [Host.SealHandover] of the primary of the bundle. The
	// transition brings its answer, which proves to this cluster's host that the primary
	// has the set's data. Empty asks for none.
	Challenge []byte
	// Addrs are cluster addresses to try in order, with the credentials that the
	// secondary has.
	Addrs []string
}

// ForwardRequest is for the primary's host alone.
type ForwardRequest struct {
	// Payload is sealed from host to host, at most PayloadMax bytes.
	Payload []byte
}

// ForwardResponse is the answer of the primary's host.
type ForwardResponse struct {
	// Payload is sealed from host to host, at most PayloadMax bytes.
	Payload []byte
}

// Status is what the plugin knows of its sessions. The host adds what it owns
// (mode, positions, merkle_root).
type Status struct {
	State           State
	ConnectionState ConnectionState
	// PrimaryClusterAddr is, on a primary, the address given at enable; on a
	// secondary the one in use.
	PrimaryClusterAddr string
	// KnownPrimaryClusterAddrs are the addresses of the primary's nodes.
	KnownPrimaryClusterAddrs []string
	// KnownSecondaries are the ids of registered secondaries, sorted.
	KnownSecondaries []string
	// Secondaries are, on a primary, the secondaries that have or had a session.
	Secondaries []Peer
	// Primaries are the primary's nodes that have a session, on a secondary.
	Primaries []Peer
	// SecondaryID is the own id, on a secondary.
	SecondaryID string
	// LastStart is when the session to the primary was last begun.
	LastStart time.Time
	// SyncProgress and SyncTotal count keys of a copy under way. Total is an estimate that is
	// corrected while the copy runs, and 0 when unknown. Else it is never less than Progress.
	SyncProgress, SyncTotal uint64
	// LastError says why the state is Idle, or what was mended last; one
	// sentence, empty if nothing failed.
	LastError string
	// FailoverAddrs are, on a DR primary, the cluster addresses of its secondaries,
	// connected or not. On a secondary they are the addresses that it tries when its
	// primary is gone.
	FailoverAddrs []string
}

// Peer is the other end of a session.
type Peer struct {
	// NodeID is the secondary's id; empty for a primary.
	NodeID         string
	APIAddress     string
	ClusterAddress string
	Connected      bool
	LastHeartbeat  time.Time
	// LastHeartbeatDuration is the round trip of the last heartbeat.
	LastHeartbeatDuration time.Duration
	// ClockSkew is the peer's clock minus the own.
	ClockSkew time.Duration
	// CanaryAge is how far behind the primary's clock the secondary's data is.
	CanaryAge time.Duration
	// Acknowledged is the last sequence that the secondary has made durable.
	Acknowledged uint64
	// Displaced counts, since the plugin was started, how often another node has come under this
	// secondary's id while its session stood. Once is a takeover, again and again are two clusters.
	Displaced uint64
}
