// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// identities is an identity store in a few maps, for both sides.
type identities struct {
	mu       sync.Mutex
	entities int
	aliases  map[string]held // by accessor and name
	groups   map[string][]string
	mounts   map[string]vaultname.Mount
	settled  []string
}

type held struct {
	entity   string
	metadata map[string]string
}

func newIdentities() *identities {
	return &identities{aliases: map[string]held{}, groups: map[string][]string{}, mounts: map[string]vaultname.Mount{
		"acc":   {Accessor: "acc", Type: "userpass"},
		"token": {Accessor: "token", Type: "token"},
		"here":  {Accessor: "here", Type: "userpass", Local: true},
		// A filter may hide it.
		"hidden": {Accessor: "hidden", Type: "userpass"},
	}}
}

func factors(accessor, name string) string { return accessor + "/" + strings.ToLower(name) }

func (i *identities) AuthMount(accessor string) (vaultname.Mount, bool) {
	m, ok := i.mounts[accessor]
	return vaultname.Mount{Type: m.Type, UUID: "uuid-" + m.Accessor, Local: m.Local}, ok
}

// GroupMount takes the part of a group's name before the colon for its mount.
func (i *identities) GroupMount(groupID string) (string, error) {
	accessor, _, _ := strings.Cut(groupID, ":")
	return accessor, nil
}

func (i *identities) GroupMounts(entityID string) ([]string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var all []string
	for _, g := range i.groups[entityID] {
		accessor, _ := i.GroupMount(g)
		all = append(all, accessor)
	}
	return all, nil
}

// audit keeps what was written, and fails from an entry on.
type audit struct {
	mu      sync.Mutex
	entries []*logical.LogInput
	failAt  int
}

func (a *audit) AuditRequest(_ context.Context, in *logical.LogInput) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries = append(a.entries, in)
	if a.failAt > 0 && len(a.entries) >= a.failAt {
		return errors.New("disk full")
	}
	return nil
}

func (a *audit) AuditResponse(ctx context.Context, in *logical.LogInput) error {
	return a.AuditRequest(ctx, in)
}

func (i *identities) EnsureEntity(_ context.Context, a *logical.Alias) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := factors(a.MountAccessor, a.Name)
	h := i.aliases[key]
	if h.entity == "" {
		i.entities++
		h.entity = fmt.Sprintf("entity-%d", i.entities)
	}
	h.metadata = a.Metadata
	i.aliases[key] = h
	return h.entity, nil
}

func (i *identities) CreateEntity(context.Context) (string, []byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.entities++
	id := fmt.Sprintf("entity-%d", i.entities)
	return id, []byte(id), nil
}

func (i *identities) RefreshGroups(_ context.Context, id, _ string, names []string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.groups[id] = names
	return nil
}

func (i *identities) ChangeMembers(_ context.Context, group string, add, _ []string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, id := range add {
		i.groups[id] = append(i.groups[id], group)
	}
	return nil
}

func (i *identities) AliasState(accessor, name string, metadata map[string]string) (string, bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	h := i.aliases[factors(accessor, name)]
	return h.entity, h.entity != "" && maps.Equal(h.metadata, metadata), nil
}

func (i *identities) GroupsDiffer(id, _ string, names []string) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !slices.Equal(i.groups[id], names), nil
}

func (i *identities) TakeUp(context.Context, string, string, []string) error { return nil }

func (i *identities) PutLocalAlias(_ context.Context, id, accessor, name string, metadata map[string]string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.aliases[factors(accessor, name)] = held{id, metadata}
	return nil
}

func (i *identities) SettleEntity(_ context.Context, id string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.settled = append(i.settled, id)
	return nil
}

// clusters are a primary and a secondary whose replication is a call of Wait.
type clusters struct {
	primary, secondary *identities
	server             map[string]Handler

	mu    sync.Mutex
	calls []string
	down  error
	stuck error
	// hold, when set, keeps calls until it is closed.
	hold chan struct{}
	*Secondary
}

func newClusters(t *testing.T) *clusters {
	t.Helper()
	c := &clusters{primary: newIdentities(), secondary: newIdentities()}
	c.server = NewServer(ServerOptions{Store: c.primary, Audit: &audit{}}).Handlers()
	c.Secondary = NewSecondary(c.secondary, c, c, hclog.NewNullLogger())
	return c
}

func (c *clusters) Call(ctx context.Context, kind string, body []byte) ([]byte, replication.Position, error) {
	c.mu.Lock()
	c.calls = append(c.calls, kind)
	n, hold, down := len(c.calls), c.hold, c.down
	c.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if down != nil {
		return nil, replication.Position{}, down
	}
	answer, err := c.server[kind](ctx, "eu", body)
	return answer, replication.Position{Sequence: uint64(n)}, err
}

// Wait brings everything shared over.
func (c *clusters) Wait(_ context.Context, at replication.Position) error {
	if at.Sequence == 0 {
		return errors.New("no position to wait for")
	}
	c.mu.Lock()
	stuck := c.stuck
	c.mu.Unlock()
	if stuck != nil {
		return stuck
	}
	c.primary.mu.Lock()
	defer c.primary.mu.Unlock()
	c.secondary.mu.Lock()
	defer c.secondary.mu.Unlock()
	maps.Copy(c.secondary.aliases, c.primary.aliases)
	maps.Copy(c.secondary.groups, c.primary.groups)
	return nil
}

func (c *clusters) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

func login(name string, metadata map[string]string, groups ...string) *logical.Response {
	auth := &logical.Auth{Alias: &logical.Alias{Name: name, Metadata: metadata}}
	for _, g := range groups {
		auth.GroupAliases = append(auth.GroupAliases, &logical.Alias{Name: g})
	}
	return &logical.Response{Auth: auth}
}

var (
	loginRequest = &logical.Request{Operation: logical.UpdateOperation, Path: "login/bob"}
	shared       = vaultname.Mount{Accessor: "acc", Type: "userpass"}
	local        = vaultname.Mount{Accessor: "here", Type: "userpass", Local: true}
)
