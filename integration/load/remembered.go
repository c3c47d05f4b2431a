// SPDX-License-Identifier: MPL-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/integration/content"
)

const (
	// rememberedCount is how many objects of most kinds there are.
	rememberedCount = 12
	// readersOfNode is how many read on each node of the secondary: a read that is under
	// way while a change arrives may keep the old value.
	readersOfNode = 4
)

// Remembered changes objects that a running core reads and keeps in memory: policies, login
// MFA, quotas, tunes of mounts, identity, keys of transit and PKI.
type Remembered struct {
	objects []remembered
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	changed, failed, read atomic.Int64
	mu                    sync.Mutex
	lastFailure           error
}

// remembered is one object. It is never the same after two changes in a row.
type remembered struct {
	name   string
	change func(ctx context.Context, root *api.Client, n int) error
	// path is where it is read.
	path string
}

// PrepareRemembered makes the objects on a primary.
func PrepareRemembered(ctx context.Context, root *api.Client) (*Remembered, error) {
	r := &Remembered{}
	p := &preparing{ctx: ctx, root: root}
	for _, kind := range []func(*preparing) []remembered{policies, loginMFA, quotas, tunes, identities, transitKeys,
		pkiSettings} {
		r.objects = append(r.objects, kind(p)...)
	}
	for _, o := range r.objects {
		if p.err == nil {
			p.err = o.change(ctx, root, 0)
		}
		if p.err != nil {
			return nil, fmt.Errorf("preparing %s: %w", o.name, p.err)
		}
	}
	return r, nil
}

// preparing makes what the objects need; the first error ends it.
type preparing struct {
	ctx  context.Context
	root *api.Client
	err  error
}

func (p *preparing) mount(path, kind string) {
	if p.err == nil {
		p.err = p.root.Sys().MountWithContext(p.ctx, path, &api.MountInput{Type: kind})
	}
}

// write returns a field of the answer, or "" without a name.
func (p *preparing) write(path string, data map[string]any, field string) string {
	if p.err != nil {
		return ""
	}
	secret, err := p.root.Logical().WriteWithContext(p.ctx, path, data)
	switch {
	case err != nil:
		p.err = fmt.Errorf("%s: %w", path, err)
	case field != "" && (secret == nil || secret.Data[field] == nil):
		p.err = fmt.Errorf("%s: the answer has no %s", path, field)
	case field != "":
		return fmt.Sprint(secret.Data[field])
	}
	return ""
}

// writes is an object that a write to its path changes.
func writes(name, path string, data func(n int) map[string]any) remembered {
	return remembered{name: name, path: path, change: func(ctx context.Context, root *api.Client, n int) error {
		_, err := root.Logical().WriteWithContext(ctx, path, data(n))
		return err
	}}
}

func several(make func(i int) remembered) (all []remembered) {
	for i := range rememberedCount {
		all = append(all, make(i))
	}
	return all
}

func policies(*preparing) []remembered {
	return several(func(i int) remembered {
		return writes(fmt.Sprint("policy ", i), fmt.Sprint("sys/policies/acl/remembered-", i), func(n int) map[string]any {
			return map[string]any{"policy": fmt.Sprintf("path \"load/%d/*\" { capabilities = [\"read\"] }", n)}
		})
	})
}

func loginMFA(p *preparing) []remembered {
	for _, kind := range []string{"userpass", "approle"} {
		if p.err == nil {
			p.err = p.root.Sys().EnableAuthWithOptionsWithContext(p.ctx, "enforced-"+kind, &api.EnableAuthOptions{Type: kind})
		}
	}
	var methods []string
	for range 2 {
		methods = append(methods, p.write("identity/mfa/method/totp", map[string]any{"issuer": "first"}, "method_id"))
	}
	kinds := [][]string{{"userpass"}, {"approle"}, {"userpass", "approle"}}
	all := several(func(i int) remembered {
		return writes(fmt.Sprint("MFA enforcement ", i), fmt.Sprint("identity/mfa/login-enforcement/remembered-", i),
			func(n int) map[string]any {
				return map[string]any{"mfa_method_ids": methods[n%2 : n%2+1], "auth_method_types": kinds[n%3]}
			})
	})
	for _, id := range methods {
		all = append(all, writes("MFA method "+id, "identity/mfa/method/totp/"+id, func(n int) map[string]any {
			return map[string]any{"issuer": fmt.Sprint("issuer-", n)}
		}))
	}
	return all
}

func quotas(p *preparing) []remembered {
	return several(func(i int) remembered {
		path := fmt.Sprint("limited-", i)
		p.mount(path, "kv")
		return writes(fmt.Sprint("quota ", i), fmt.Sprint("sys/quotas/rate-limit/remembered-", i),
			func(n int) map[string]any {
				return map[string]any{"path": path, "rate": 100000 + n}
			})
	})
}

func tunes(p *preparing) []remembered {
	return several(func(i int) remembered {
		path := fmt.Sprint("tuned-", i)
		p.mount(path, "kv")
		return writes(fmt.Sprint("tune of mount ", i), fmt.Sprintf("sys/mounts/%s/tune", path), func(n int) map[string]any {
			return map[string]any{"max_lease_ttl": fmt.Sprintf("%ds", 3600+n), "description": fmt.Sprint("the ", n)}
		})
	})
}

func identities(p *preparing) []remembered {
	if p.err == nil {
		p.err = p.root.Sys().EnableAuthWithOptionsWithContext(p.ctx, "remembered", &api.EnableAuthOptions{Type: "userpass"})
	}
	accessor := ""
	if p.err == nil {
		auths, err := p.root.Sys().ListAuthWithContext(p.ctx)
		if p.err = err; err == nil {
			accessor = auths["remembered/"].Accessor
		}
	}
	var ids []string
	all := several(func(i int) remembered {
		path := fmt.Sprint("identity/entity/name/remembered-", i)
		ids = append(ids, p.write(path, nil, "id"))
		return writes(fmt.Sprint("entity ", i), path, func(n int) map[string]any {
			return map[string]any{"metadata": map[string]string{"n": fmt.Sprint(n)},
				"policies": fmt.Sprint("remembered-", n%rememberedCount)}
		})
	})
	all = append(all, several(func(i int) remembered {
		return writes(fmt.Sprint("group ", i), fmt.Sprint("identity/group/name/remembered-", i), func(n int) map[string]any {
			return map[string]any{"member_entity_ids": []string{ids[n%rememberedCount], ids[(n+i+1)%rememberedCount]},
				"metadata": map[string]string{"n": fmt.Sprint(n)}}
		})
	})...)
	for i := range rememberedCount {
		id := p.write("identity/entity-alias", map[string]any{"name": fmt.Sprint("alias-", i), "canonical_id": ids[i],
			"mount_accessor": accessor}, "id")
		all = append(all, writes(fmt.Sprint("alias ", i), "identity/entity-alias/id/"+id, func(n int) map[string]any {
			return map[string]any{"name": fmt.Sprint("alias-", i), "canonical_id": ids[i], "mount_accessor": accessor,
				"custom_metadata": map[string]string{"n": fmt.Sprint(n)}}
		}))
	}
	return all
}

// transitKeys are rotated now and then only, because each rotation makes them larger.
func transitKeys(p *preparing) []remembered {
	p.mount("remembered-transit", "transit")
	return several(func(i int) remembered {
		path := fmt.Sprint("remembered-transit/keys/k", i)
		p.write(path, nil, "")
		return remembered{name: fmt.Sprint("transit key ", i), path: path, change: func(ctx context.Context, root *api.Client,
			n int) error {
			to, data := path+"/config", map[string]any{"auto_rotate_period": fmt.Sprintf("%dh", 1+n%500)}
			if n%20 == 10 {
				to, data = path+"/rotate", nil
			}
			_, err := root.Logical().WriteWithContext(ctx, to, data)
			return err
		}}
	})
}

func pkiSettings(p *preparing) []remembered {
	p.mount("remembered-pki", "pki")
	p.write("remembered-pki/root/generate/internal", map[string]any{"common_name": "first", "key_type": "ec"}, "")
	rotated := remembered{name: "PKI issuer", path: "remembered-pki/config/issuers",
		change: func(ctx context.Context, root *api.Client, n int) error {
			if n%20 != 10 {
				return nil
			}
			made, err := root.Logical().WriteWithContext(ctx, "remembered-pki/root/rotate/internal",
				map[string]any{"common_name": fmt.Sprint("root ", n), "key_type": "ec"})
			if err == nil {
				_, err = root.Logical().WriteWithContext(ctx, "remembered-pki/config/issuers",
					map[string]any{"default": made.Data["issuer_id"]})
			}
			return err
		}}
	return []remembered{rotated, writes("PKI lists of revocations", "remembered-pki/config/crl",
		func(n int) map[string]any {
			return map[string]any{"expiry": fmt.Sprintf("%dh", 24+n%500)}
		})}
}

// Start changes the objects on one of the nodes of a primary, from count writers, and
// reads them on all nodes of a secondary, so that those remember them. Both go on over
// failures.
func (r *Remembered) Start(ctx context.Context, primary, secondary []*api.Client, count int) {
	ctx, r.cancel = context.WithCancel(ctx)
	for _, c := range append(append([]*api.Client{}, primary...), secondary...) {
		c.SetClientTimeout(patience)
		c.SetMaxRetries(0)
	}
	// A change that has begun is ended. If its write is cut, Vault answers with an error and goes on with the new value
	// in its memory: transit does so with the period of rotation.
	whole := context.WithoutCancel(ctx)
	for w := range count {
		r.wg.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				for i := w; i < len(r.objects) && ctx.Err() == nil; i += count {
					r.do(ctx, &r.changed, func() error { return r.objects[i].change(whole, primary[n%len(primary)], n) })
				}
			}
		})
	}
	for i := range readersOfNode * len(secondary) {
		c := secondary[i%len(secondary)]
		r.wg.Go(func() {
			for n := i * rememberedCount; ctx.Err() == nil; n++ {
				r.do(ctx, &r.read, func() error {
					_, err := c.Logical().ReadWithContext(ctx, r.objects[n%len(r.objects)].path)
					return err
				})
			}
		})
	}
}

func (r *Remembered) do(ctx context.Context, done *atomic.Int64, request func() error) {
	err := request()
	if err == nil {
		done.Add(1)
		return
	}
	if ctx.Err() != nil {
		return
	}
	r.failed.Add(1)
	r.mu.Lock()
	r.lastFailure = err
	r.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(pace):
	}
}

// Stop ends the changes.
func (r *Remembered) Stop() {
	if r.cancel != nil {
		r.cancel()
	}
	r.wg.Wait()
}

// Report says what was done.
func (r *Remembered) Report() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%d objects, %d changes, %d reads, %d requests failed (the last one: %v)",
		len(r.objects), r.changed.Load(), r.read.Load(), r.failed.Load(), r.lastFailure)
}

// Changed is how many changes were made.
func (r *Remembered) Changed() int64 { return r.changed.Load() }

// Same names the objects that two servers answer differently.
func (r *Remembered) Same(ctx context.Context, primary, secondary *api.Client) error {
	var all []error
	for _, o := range r.objects {
		want, err := primary.Logical().ReadWithContext(ctx, o.path)
		if err == nil && want == nil {
			err = errors.New("the primary has none")
		}
		var got *api.Secret
		if err == nil {
			got, err = secondary.Logical().ReadWithContext(ctx, o.path)
		}
		if err == nil && got == nil {
			err = errors.New("the secondary has none")
		}
		var differ []string
		if err == nil {
			differ, err = content.DiffData(want.Data, got.Data)
		}
		if err == nil && len(differ) > 0 {
			err = errors.New(strings.Join(differ, "; "))
		}
		if err != nil {
			all = append(all, fmt.Errorf("%s: %w", o.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(all...)
}
