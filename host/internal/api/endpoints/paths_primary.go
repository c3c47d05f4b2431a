// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/wrapping"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Warnings in Vault's words.
const (
	warnPrimaryEnabled = "This cluster is being enabled as a primary for replication. Vault will be unavailable for a " +
		"brief period and will resume service shortly."
	warnDemoted = "This cluster is being demoted to a replication secondary. Vault will be unavailable for a " +
		"brief period and will resume service shortly."
	warnNoAPIAddr = "This cluster has no api_addr, so the token names no address. Give the secondary primary_api_addr, " +
		"or set api_addr in the server's configuration and ask for another token."
	warnDisabled = "This cluster is having replication disabled. Vault will be unavailable for a brief period and " +
		"will resume service shortly."
)

const (
	// defaultTokenTTL is how long an activation token can be used, in seconds.
	defaultTokenTTL = 30 * 60
	// tokenTTLMax bounds the TTL, because the token gives access to the keys of the primary.
	tokenTTLMax = 24 * time.Hour
)

// family is a set of endpoints of one mode, below a prefix.
type family struct {
	mode replication.Mode
	// prefix is that of the patterns.
	prefix string
	// noun begins the operation ids of OpenAPI.
	noun string
}

func families() (all []family) {
	for _, mode := range replication.Modes() {
		for _, prefix := range mode.Paths() {
			noun := strings.ReplaceAll(strings.TrimPrefix(prefix, "replication/"), "/", "-")
			all = append(all, family{mode, prefix, noun})
		}
	}
	return all
}

func (h *handlers) primaryPaths() []*framework.Path {
	var all []*framework.Path
	for _, f := range families() {
		all = append(all, h.primaryPathsOf(f)...)
	}
	return append(all, paths([]endpoint{{
		pattern: "replication/recover", verb: "recover", noun: "replication",
		synopsis: "Begin the replication sessions of this cluster anew.",
		handle:   h.recoverAll,
	}})...)
}

func (h *handlers) primaryPathsOf(f family) []*framework.Path {
	mode, name := f.mode, f.mode.Name()
	return paths([]endpoint{
		{
			pattern: f.prefix + "primary/enable", verb: "enable", noun: f.noun + "primary",
			synopsis: "Enable " + name + " replication as a primary.",
			fields: map[string]*framework.FieldSchema{
				"primary_cluster_addr": text("Cluster address to hand to secondaries, for a load balancer in front of the " +
					"cluster port. The node's own cluster address by default."),
			},
			handle: h.enablePrimary(mode),
		},
		{
			pattern: f.prefix + "primary/demote", verb: "demote", noun: f.noun + "primary",
			synopsis: "Make this " + name + " primary a secondary without a primary.",
			description: "The cluster keeps its replication set and can join its successor with update-primary, without a new " +
				"copy.",
			handle: h.leavePrimary(mode, h.Primary.DemotePrimary, warnDemoted),
		},
		{
			pattern: f.prefix + "primary/disable", verb: "disable", noun: f.noun + "primary",
			synopsis:    "Disable " + name + " replication on this primary.",
			description: "The set is forgotten: secondaries lose their connection and have to be enabled anew.",
			handle:      h.leavePrimary(mode, h.Primary.DisablePrimary, warnDisabled),
		},
		{
			pattern: f.prefix + "primary/secondary-token", verb: "generate",
			noun:     f.noun + "secondary-token",
			synopsis: "Register a " + name + " secondary and make its activation token.",
			description: "Without secondary_public_key the answer is always response-wrapped. The token in wrap_info can be " +
				"used " +
				"once, by secondary/enable or secondary/update-primary, and is to be treated like a root token. With the key the " +
				"field token has the activation, which that secondary alone can open.",
			fields: map[string]*framework.FieldSchema{
				"id": {Type: framework.TypeString, Description: "Name of the secondary, unique at this primary.",
					Required: true},
				"ttl": {Type: framework.TypeDurationSecond, Default: defaultTokenTTL,
					Description: "How long the activation token can be used, 24 hours at most."},
				"secondary_public_key": text("Key that secondary/generate-public-key returned on the secondary. The token is " +
					"encrypted to it, and the secondary needs no call to the API of this cluster."),
			},
			response: map[string]*framework.FieldSchema{"token": text("With secondary_public_key: the activation token.")},
			handle:   h.secondaryToken(mode),
		},
		{
			pattern: f.prefix + "primary/revoke-secondary", verb: "revoke",
			noun:     f.noun + "secondary",
			synopsis: "Cut off a " + name + " secondary for ever.",
			fields: map[string]*framework.FieldSchema{
				"id": {Type: framework.TypeString, Description: "Name of the secondary.", Required: true},
			},
			handle: h.revokeSecondary(mode),
		},
	})
}

func (h *handlers) enablePrimary(mode replication.Mode) call {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		addr := d.Get("primary_cluster_addr").(string)
		if err := clusterAddr("primary_cluster_addr", addr); err != nil {
			return nil, err
		}
		if err := h.requireRole(mode, replication.Disabled); err != nil {
			return nil, err
		}
		more, err := h.Primary.EnablePrimary(ctx, mode, replication.EnablePrimaryRequest{PrimaryClusterAddr: addr})
		return warn(warnPrimaryEnabled, more, err)
	}
}

// leavePrimary is demote and disable.
func (h *handlers) leavePrimary(mode replication.Mode, leave func(context.Context, replication.Mode) ([]string, error),
	warning string) call {
	return func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		if err := h.requireRole(mode, replication.Primary); err != nil {
			return nil, err
		}
		more, err := leave(ctx, mode)
		return warn(warning, more, err)
	}
}

// tokenRequest is what secondary-token was asked for.
type tokenRequest struct {
	id        string
	ttl       time.Duration
	publicKey string
}

func readTokenRequest(d *framework.FieldData) (r tokenRequest, err error) {
	r.id, r.publicKey = d.Get("id").(string), d.Get("secondary_public_key").(string)
	r.ttl = time.Duration(d.Get("ttl").(int)) * time.Second
	if err := secondaryID(r.id); err != nil {
		return r, err
	}
	if r.id == "." || r.id == ".." {
		// Clients and proxies take it out of the path of the secondary's filter.
		return r, invalid("id cannot be %q, which means a directory in a path: give the secondary a name", r.id)
	}
	if given, ok := d.Raw["ttl"]; ok && given == "" {
		// As if it was left out.
		r.ttl = defaultTokenTTL * time.Second
	}
	if r.ttl <= 0 {
		return r, invalid("ttl has to be longer than nothing: leave it out for 30 minutes")
	}
	if r.ttl > tokenTTLMax {
		return r, invalid("ttl is %s, and an activation token can be used for 24 hours at most: make it when the "+
			"secondary is about to be enabled", r.ttl)
	}
	if r.publicKey != "" {
		return r, activation.CheckPublicKey(r.publicKey)
	}
	return r, nil
}

func (h *handlers) secondaryToken(mode replication.Mode) call {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		r, err := readTokenRequest(d)
		if err != nil {
			return nil, err
		}
		if err := h.requireRole(mode, replication.Primary); err != nil {
			return nil, err
		}
		payload, more, err := h.Primary.SecondaryToken(ctx, mode, replication.SecondaryTokenRequest{ID: r.id})
		if err != nil {
			return nil, err
		}
		if payload == nil {
			return nil, replication.Errorf(replication.Internal, "no activation was made for the secondary: see the "+
				"server's log")
		}
		payload.Mode, payload.ID = mode, r.id
		if h.APIAddr != nil && h.APIAddr() == "" && r.publicKey == "" {
			more = append(more, warnNoAPIAddr)
		}
		resp := &logical.Response{Warnings: more}
		if r.publicKey != "" {
			token, err := payload.SealTo(r.publicKey, time.Now().Add(r.ttl))
			if err != nil {
				return nil, err
			}
			resp.Data = map[string]any{"token": token}
			return resp, nil
		}
		if resp.Data, err = payload.Seal(); err != nil {
			return nil, err
		}
		// With a TTL the core replaces the data by a wrapping token before it
		// audits or answers, and answers an error when it cannot.
		resp.WrapInfo = &wrapping.ResponseWrapInfo{TTL: r.ttl, Format: "jwt"}
		return resp, nil
	}
}

func (h *handlers) revokeSecondary(mode replication.Mode) call {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		id := d.Get("id").(string)
		if err := secondaryID(id); err != nil {
			return nil, err
		}
		if err := h.requireRole(mode, replication.Primary); err != nil {
			return nil, err
		}
		more, err := h.Primary.RevokeSecondary(ctx, mode, replication.RevokeSecondaryRequest{ID: id})
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			return nil, nil
		}
		return warn("", more, nil)
	}
}

// recoverAll is for every mode that is enabled.
func (h *handlers) recoverAll(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response,
	error) {
	on, err := enabled(h.Controller, replication.Modes(), "nothing to recover")
	if err != nil {
		return nil, err
	}
	var more []string
	for _, mode := range on {
		w, err := h.Controller.Recover(ctx, mode)
		if err != nil {
			return nil, err
		}
		more = append(more, w...)
	}
	return warn(warnRecovering, more, nil)
}
