// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"maps"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	warnSecondaryEnabled = "Vault has successfully found secondary information; it may take a while to perform setup " +
		"tasks. Vault will be unavailable until these tasks and initial sync complete."
	warnPromoted = "This cluster is being promoted to a replication primary. Vault will be unavailable for a " +
		"brief period and will resume service shortly."
	warnRepointed = "This cluster is being connected to the primary that was given. See the status for when it " +
		"has caught up."
	warnDetached   = "This cluster has forgotten its primary and stays a secondary. Give it one with update-primary."
	warnRecovering = "The replication sessions of this cluster are being begun anew. See the status for their state."
)

const tokenField = operationtoken.Field

func (h *handlers) secondaryPaths() []*framework.Path {
	var all []*framework.Path
	for _, mode := range replication.Modes() {
		all = append(all, h.publicKeyPath(mode))
	}
	for _, f := range families() {
		all = append(all, h.secondaryPathsOf(f)...)
		if !f.mode.ServesClients() {
			all = append(all, h.inertSecondaryPaths(f)...)
		}
	}
	return all
}

// secondaryPathsOf are the paths that all modes have. A secondary that serves no clients
// knows no tokens: its requests are authorized by a DR operation token in the body. On
// others Vault's own tokens and policies do that.
func (h *handlers) secondaryPathsOf(f family) []*framework.Path {
	mode, name := f.mode, f.mode.Name()
	source := map[string]*framework.FieldSchema{
		"token": text("Activation token that secondary-token returned on the primary: response-wrapped, or encrypted to a " +
			"key of this cluster."),
		"primary_api_addr": text("API address of the primary, in place of the one in the token."),
		"ca_file": text("File on this node with the PEM certificate of the CA of the primary's API address. The " +
			"system's CAs by default."),
		"ca_path":         text("Directory on this node with such files."),
		"client_cert_pem": text("Client certificate in PEM, for a primary whose API wants one."),
		"client_key_pem": {Type: framework.TypeString, Description: "Private key of client_cert_pem in PEM.",
			DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"keep_own_writes": {Type: framework.TypeBool, Description: "Of a former primary: keep what it has written and the " +
			"new primary does not have, in an encrypted file. Without it such a cluster is refused."},
	}
	withToken := func(more map[string]*framework.FieldSchema) map[string]*framework.FieldSchema {
		fields := map[string]*framework.FieldSchema{}
		if !mode.ServesClients() {
			fields[tokenField] = operationTokenField
		}
		maps.Copy(fields, more)
		return fields
	}
	return paths([]endpoint{
		{
			pattern: f.prefix + "secondary/enable", verb: "enable", noun: f.noun + "secondary",
			synopsis:    "Make this cluster a " + name + " secondary.",
			description: "All data of this cluster is replaced by the primary's, key shares included.",
			fields:      source,
			handle:      h.enableSecondary(mode),
		},
		{
			pattern: f.prefix + "secondary/promote", verb: "promote", noun: f.noun + "secondary",
			synopsis: "Make this " + name + " secondary the primary.",
			fields: withToken(map[string]*framework.FieldSchema{
				"primary_cluster_addr": text("Cluster address to hand to secondaries. The node's own cluster address by default."),
				"force": {Type: framework.TypeBool, Description: "Promote although the content is not consistent, " +
					"or the primary is alive; data may be lost."},
			}),
			handle: h.promote(mode),
		},
		{
			pattern: f.prefix + "secondary/disable", verb: "disable", noun: f.noun + "secondary",
			synopsis:    "Disable " + name + " replication on this secondary.",
			description: "The cluster leaves its set with the data it has.",
			fields:      withToken(nil),
			handle:      h.disableSecondary(mode),
		},
		{
			pattern: f.prefix + "secondary/update-primary", verb: "update",
			noun:     f.noun + "secondary-primary",
			synopsis: "Give this " + name + " secondary another primary of its set.",
			description: "With a token, new credentials are fetched; with update_primary_addrs the ones it has are used; with " +
				"neither the primary is forgotten. No data is wiped.",
			fields: func() map[string]*framework.FieldSchema {
				fields := withToken(source)
				fields["update_primary_addrs"] = &framework.FieldSchema{Type: framework.TypeCommaStringSlice,
					Description: "Cluster addresses to try in order. Not together with token."}
				return fields
			}(),
			handle: h.updatePrimary(mode),
		},
	})
}

// publicKeyPath has no older form without the mode.
func (h *handlers) publicKeyPath(mode replication.Mode) *framework.Path {
	return endpoint{
		pattern: "replication/" + string(mode) + "/secondary/generate-public-key",
		verb:    "generate", noun: string(mode) + "-secondary-public-key",
		synopsis: "Make a key that the primary's secondary-token encrypts the activation to.",
		description: "Such a token needs no call to the primary's API. The key takes the place of the one before, and is " +
			"kept until it was used.",
		response: map[string]*framework.FieldSchema{"secondary_public_key": text("Give it to secondary-token on the " +
			"primary.")},
		handle: h.generatePublicKey(mode),
	}.path()
}

var operationTokenField = &framework.FieldSchema{Type: framework.TypeString,
	Description: "DR operation token that authorizes this request.", Required: true}

// inertSecondaryPaths are the endpoints of a secondary that serves no clients.
func (h *handlers) inertSecondaryPaths(f family) []*framework.Path {
	mode, name := f.mode, f.mode.Name()
	fields := map[string]*framework.FieldSchema{tokenField: operationTokenField}
	return paths([]endpoint{
		{
			pattern: f.prefix + "secondary/recover", verb: "recover", noun: f.noun + "secondary",
			synopsis: "Begin the replication sessions of this " + name + " secondary anew.",
			fields:   fields,
			handle:   h.recoverSecondary(mode),
		},
		{
			pattern: f.prefix + "secondary/operation-token/delete", verb: "delete",
			noun:     f.noun + "operation-token",
			synopsis: "Delete a " + name + " operation token that was generated here.",
			fields:   fields,
			handle:   h.deleteToken(mode),
		},
	})
}

func (h *handlers) enableSecondary(mode replication.Mode) call {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		// All of this comes before the token is spent.
		if d.Get("token").(string) == "" {
			return nil, invalid("token is missing: give the wrapping token that secondary-token returned on the primary")
		}
		if err := h.requireRole(mode, replication.Disabled); err != nil {
			return nil, err
		}
		for _, other := range replication.Modes() {
			if err := h.requireRole(other, replication.Disabled); err != nil {
				return nil, err
			}
		}
		payload, warnings, used, err := h.open(ctx, mode, d)
		if err != nil {
			return nil, spent(err, used)
		}
		keep := d.Get("keep_own_writes").(bool)
		more, err := h.Secondary.EnableSecondary(ctx, mode, payload, keep)
		return warn(warnSecondaryEnabled, append(warnings, more...), spent(err, used))
	}
}

func (h *handlers) updatePrimary(mode replication.Mode) call {
	return h.authorized(mode, func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
		error) {
		addrs := d.Get("update_primary_addrs").([]string)
		token := d.Get("token").(string)
		if token != "" && len(addrs) > 0 {
			return nil, invalid("token and update_primary_addrs exclude each other: a token brings the addresses with it")
		}
		for _, addr := range addrs {
			if addr == "" {
				return nil, invalid("update_primary_addrs has an empty address: give https://host:port for each")
			}
			if err := clusterAddr("update_primary_addrs", addr); err != nil {
				return nil, err
			}
		}
		req, text := UpdatePrimaryRequest{Addrs: addrs, Keep: d.Get("keep_own_writes").(bool)}, warnRepointed
		var warnings []string
		var used bool
		if token != "" {
			var err error
			if req.Payload, warnings, used, err = h.open(ctx, mode, d); err != nil {
				return nil, spent(err, used)
			}
		} else if len(addrs) == 0 {
			text = warnDetached
		}
		more, err := h.Secondary.UpdatePrimary(ctx, mode, req)
		return warn(text, append(warnings, more...), spent(err, used))
	})
}

func (h *handlers) promote(mode replication.Mode) call {
	return h.authorized(mode, func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
		error) {
		addr := d.Get("primary_cluster_addr").(string)
		if err := clusterAddr("primary_cluster_addr", addr); err != nil {
			return nil, err
		}
		more, err := h.Secondary.PromoteSecondary(ctx, mode, PromoteRequest{
			PromoteSecondaryRequest: replication.PromoteSecondaryRequest{PrimaryClusterAddr: addr, Force: d.Get("force").(bool)},
			Consume:                 h.consume(mode, d),
		})
		return warn(warnPromoted, more, err)
	})
}

func (h *handlers) disableSecondary(mode replication.Mode) call {
	return h.authorized(mode, func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
		error) {
		more, err := h.Secondary.DisableSecondary(ctx, mode, h.consume(mode, d))
		return warn(warnDisabled, more, err)
	})
}

func (h *handlers) recoverSecondary(mode replication.Mode) call {
	return h.authorized(mode, func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response,
		error) {
		more, err := h.Controller.Recover(ctx, mode)
		return warn(warnRecovering, more, err)
	})
}

func (h *handlers) deleteToken(mode replication.Mode) call {
	return h.authorized(mode, func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
		error) {
		token := d.Get(tokenField).(string)
		if !operationtoken.Generated(token) {
			return nil, invalid("a batch token cannot be deleted: it ends with its TTL")
		}
		return nil, h.Tokens.Consume(ctx, token)
	})
}

// authorized lets a request of a secondary through. Where the secondary serves no clients,
// the DR operation token must allow the path, because Vault asks for no other token there.
func (h *handlers) authorized(mode replication.Mode, next call) call {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		if err := h.requireRole(mode, replication.Secondary); err != nil {
			return nil, err
		}
		if mode.ServesClients() {
			// The core has checked the request's token and its policies.
			return next(ctx, req, d)
		}
		if err := h.Tokens.Allow(operationtoken.WithinCore(ctx), d.Get(tokenField).(string), useOf(req)); err != nil {
			return nil, err
		}
		return next(ctx, req, d)
	}
}

// useOf is the request that the DR operation token has to allow, made from one that the
// core handles.
func useOf(req *logical.Request) *logical.Request {
	return operationtoken.Use("sys/"+req.Path, req.Data, req.Connection)
}

func (h *handlers) consume(mode replication.Mode, d *framework.FieldData) Consume {
	if mode.ServesClients() {
		return nil
	}
	token := d.Get(tokenField).(string)
	return func(ctx context.Context) error { return h.Tokens.Consume(ctx, token) }
}

func source(mode replication.Mode, d *framework.FieldData) activation.Request {
	return activation.Request{
		Mode:           mode,
		Token:          d.Get("token").(string),
		PrimaryAPIAddr: d.Get("primary_api_addr").(string),
		CAFile:         d.Get("ca_file").(string),
		CAPath:         d.Get("ca_path").(string),
		ClientCertPEM:  d.Get("client_cert_pem").(string),
		ClientKeyPEM:   d.Get("client_key_pem").(string),
	}
}

// open returns the payload of a request's activation token. A token that was encrypted to a key of this cluster is
// opened here and not used up. Any other is exchanged at the primary's API.
func (h *handlers) open(ctx context.Context, mode replication.Mode, d *framework.FieldData) (
	payload *activation.Payload,
	warnings []string, used bool, err error) {
	if token := d.Get("token").(string); activation.Sealed(token) {
		payload, err = h.Secondary.OpenActivation(ctx, mode, token)
		return payload, nil, false, err
	}
	return h.Activations.Fetch(ctx, source(mode, d))
}

// generatePublicKey is for a cluster that is to become a secondary, or is to get another primary.
func (h *handlers) generatePublicKey(mode replication.Mode) call {
	return func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		if h.Controller.Role(mode) == replication.Primary {
			return nil, invalid("this cluster is a %s primary, and a public key is for a secondary: demote or disable it "+
				"first", mode.Name())
		}
		key, err := h.Secondary.GeneratePublicKey(ctx, mode)
		if err != nil {
			return nil, err
		}
		return &logical.Response{Data: map[string]any{"secondary_public_key": key}}, nil
	}
}
