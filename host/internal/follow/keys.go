// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"strings"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// A rule says what a key means to the core. It is for keys that begin with prefix, or that are prefix if it does not
// end with a slash.
type rule struct {
	prefix string
	// once says that all keys of the rule are renewed together.
	once bool
	// do returns true if it is done, or if the follower will repeat it by itself. Otherwise the key stays owed.
	do func(f *Follower, ctx context.Context, key string) bool
}

func whole(prefix, what string, step func(Core, context.Context) error) rule {
	return rule{prefix: prefix, once: true, do: func(f *Follower, ctx context.Context, _ string) bool {
		return f.renew(ctx, what, func(ctx context.Context) error { return step(f.core, ctx) })
	}}
}

var rules = []rule{
	{vaultname.Mounts, true, (*Follower).table},
	{vaultname.Auth, true, (*Follower).table},
	{vaultname.Audit, true, (*Follower).table},
	{vaultname.PluginCatalog, true,
		func(f *Follower, ctx context.Context, _ string) bool { f.retryIdle(ctx); return true }},
	{"logical/", false, (*Follower).changed},
	{"auth/", false, (*Follower).changed},
	{"audit/", true, (*Follower).auditSalts},
	{vaultname.Policies, false, func(f *Follower, ctx context.Context, key string) bool {
		f.core.Policy(ctx, strings.TrimPrefix(key, vaultname.Policies))
		return true
	}},
	{vaultname.Quotas, false, func(f *Follower, ctx context.Context, key string) bool {
		return f.renew(ctx, "the quota "+key, func(ctx context.Context) error {
			return f.core.Quota(ctx, strings.TrimPrefix(key, vaultname.Quotas))
		})
	}},
	{vaultname.LoginMFA, false, func(f *Follower, ctx context.Context, key string) bool {
		return f.renew(ctx, "the login MFA of "+key, func(ctx context.Context) error { return f.core.LoginMFA(ctx, key) })
	}},
	whole(vaultname.CORS, "the CORS configuration", Core.CORS),
	whole(vaultname.UIConfig, "the headers of the UI", Core.UIHeaders),
	whole(vaultname.AuditedHeaders, "the audited request headers", Core.AuditedHeaders),
	whole(vaultname.Activation, "the activated features", Core.ActivationFlags),
}

func ruleOf(key string) *rule {
	for i := range rules {
		r := &rules[i]
		if key == r.prefix || (strings.HasSuffix(r.prefix, "/") && strings.HasPrefix(key, r.prefix)) {
			return r
		}
	}
	return nil
}

// take takes up keys, and returns those that stay owed. A rule with once runs once, at the last of its keys, because
// everything that it reads is in storage already.
func (f *Follower) take(ctx context.Context, keys []string) (left []string) {
	last := map[string]int{}
	for i, key := range keys {
		if r := ruleOf(key); r != nil && r.once {
			last[r.prefix] = i
		}
	}
	for i, key := range keys {
		r := ruleOf(key)
		if r == nil || (r.once && last[r.prefix] != i) {
			continue
		}
		// A step may say that it is done though the end of its context cut it.
		if ctx.Err() != nil || !r.do(f, ctx, key) || ctx.Err() != nil {
			left = append(left, key)
		}
	}
	return left
}

// renew renews what the core keeps in memory.
func (f *Follower) renew(ctx context.Context, what string, step func(context.Context) error) bool {
	return f.try(ctx, f.o.StepWait, what, what, step)
}

// changed tells the backend of a mount that a key has changed. A backend that could not be told in time is built anew,
// because it has missed later changes too.
func (m *mounts) changed(ctx context.Context, key string) bool {
	kind, rest, _ := strings.Cut(key, "/")
	table := vaultname.Mounts
	if kind == "auth" {
		table = vaultname.Auth
	}
	uuid, _, _ := strings.Cut(rest, "/")
	told := m.try(ctx, m.o.StepWait, "a change in the engine with the storage "+uuid, subject("change", table, uuid),
		func(ctx context.Context) error {
			m.core.Changed(ctx, key)
			return ctx.Err()
		})
	if !told {
		m.again[subject("change", table, uuid)] = func(ctx context.Context) { m.anew(ctx, table, uuid) }
	}
	if uuid, waits := m.kv[key]; waits {
		m.versioned(ctx, uuid)
	}
	return true
}

// anew builds the backend of a mount that has missed a change.
func (m *mounts) anew(ctx context.Context, table, uuid string) {
	about := subject("change", table, uuid)
	running, err := m.core.Running(table)
	if err != nil {
		return
	}
	for _, e := range running {
		if e.UUID == uuid {
			if m.rebuild(ctx, table, e) {
				m.mend(about)
				delete(m.again, about)
			}
			return
		}
	}
	// The mount is gone.
	m.mend(about)
	delete(m.again, about)
}

// auditSalts has devices use salts that have come, and enables devices that waited for theirs.
func (f *Follower) auditSalts(ctx context.Context, _ string) bool {
	f.core.AuditSalts(ctx)
	return f.table(ctx, vaultname.Audit)
}
