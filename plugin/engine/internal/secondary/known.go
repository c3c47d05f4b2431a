// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"encoding/json"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// KnownKey is the name of the record of the clusters to ask before a promotion.
const KnownKey = "secondary/known"

// Known has the clusters to ask before a promotion whether the set has a primary already.
// It outlives the plugin and a change of the primary.
type Known struct {
	// API is the API address of the primary, as it said last.
	API string `json:"api,omitempty"`
	// Peers are the API addresses of clusters of the set that may have been promoted.
	Peers []string `json:"peers,omitempty"`
	// Demoted says that the primary has told of its demotion.
	Demoted bool `json:"demoted,omitempty"`
	// Bundle and Ports are the credentials and cluster addresses of a primary that this
	// cluster was told to forget.
	Bundle []byte   `json:"bundle,omitempty"`
	Ports  []string `json:"ports,omitempty"`
}

// Encode makes the record.
func (k Known) Encode() ([]byte, error) {
	data, err := json.Marshal(k)
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "encoding whom to ask before a promotion: %w", err)
	}
	return data, nil
}

// LoadKnown reads the record; without one nobody is known.
func LoadKnown(ctx context.Context, r records) (Known, error) {
	var k Known
	data, err := r.GetState(ctx, KnownKey)
	if err != nil || data == nil {
		return k, err
	}
	kind := strictjson.Record{Name: "the record of whom to ask before a promotion", Open: true}
	if err := kind.Decode(data, &k); err != nil {
		return Known{}, err
	}
	k.API, k.Peers, k.Ports = link.APIAddress(k.API), link.APIAddresses(k.Peers), link.MergeAddresses(k.Ports)
	return k, nil
}

// Followed returns what is known once another primary is followed. The former one may still
// be a primary.
func (k Known) Followed() Known {
	return Known{Peers: link.APIAddresses([]string{k.API}, k.Peers)}
}

// knowledge is the record as long as a client runs.
type knowledge struct{ record[Known] }

// learn records what the primary says in a session with it.
func (k *knowledge) learn(ctx context.Context, node link.NodeInfo) error {
	return k.change(ctx, func(r *Known) {
		*r = Known{API: node.APIAddr, Peers: node.PeerAPIAddrs, Demoted: r.Demoted}
	})
}

// meet records that the primary has begun a session.
func (k *knowledge) meet(ctx context.Context) error {
	return k.change(ctx, func(r *Known) { r.Demoted = false })
}

// leave records that the primary was demoted.
func (k *knowledge) leave(ctx context.Context) error {
	return k.change(ctx, func(r *Known) { r.Demoted = true })
}
