// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// checkClasses says whether a performance secondary, at rest, has what its filter lets through,
// and what is its own.
func (r *run) checkClasses(s *node) bool {
	p, sp := r.primary.now(), s.now()
	if p == nil || sp == nil {
		return true
	}
	want := r.replica(r.primary)
	var f rule
	if err := p.readInto(context.Background(), filterKey(s.name), &f); err != nil {
		return true
	}
	if allows := f.allows(p, s.name); allows != nil {
		maps.DeleteFunc(want, func(key string, _ []byte) bool { return !allows(key) })
	}
	got := r.replica(s)
	for i := range r.secondaries {
		// It keeps the filter of another one that it got while it had none itself.
		if key := filterKey(secondaryID(i)); key != filterKey(s.name) {
			delete(got, key)
			delete(want, key)
		}
	}
	r.mu.Lock()
	half := maps.Clone(r.halfMade)
	r.mu.Unlock()
	if d := differ(got, want); d != "" {
		r.fail(Classes, "%s does not have what its filter, which hides %v, lets through: %s", s.name, f.Hidden, d)
		return false
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.locals.mu.Lock()
	defer s.locals.mu.Unlock()
	for key, value := range s.disk.rows {
		class := sp.tap.Classes().Class(key)
		own := strings.HasPrefix(key, vaultname.Replication) || strings.HasPrefix(key, "replication/")
		switch {
		case class == keyclass.Unknown && keyclass.InView(key) && !half[uuidOf(key)]:
			r.fail(Classes, "%s has %s of a mount that is not there or not known", s.name, key)
			return false
		case class == keyclass.Local && !own && key != vaultname.LocalMounts && s.locals.may[key] == nil:
			r.fail(Classes, "%s has the local key %s = %s, which its core has not written", s.name, key, show(value))
			return false
		}
	}
	for key, may := range s.locals.may {
		now := s.disk.rows[key]
		if !slices.ContainsFunc(may, func(v []byte) bool { return same(v, now) }) {
			r.fail(Classes, "the local key %s of %s is %s, which its core has not written last", key, s.name, show(now))
			return false
		}
	}
	return true
}

func uuidOf(key string) string {
	_, rest, _ := strings.Cut(key, "/")
	uuid, _, _ := strings.Cut(rest, "/")
	return uuid
}

// differ says where two contents differ, if they do.
func differ(got, want map[string][]byte) string {
	for key, v := range want {
		if !same(got[key], v) {
			return fmt.Sprintf("%s is %s and not %s", key, show(got[key]), show(v))
		}
	}
	for key, v := range got {
		if _, ok := want[key]; !ok {
			return fmt.Sprintf("%s is there with %s", key, show(v))
		}
	}
	return ""
}

// replica is the content of a node by what it knows of the mounts.
func (r *run) replica(n *node) map[string][]byte {
	p := n.now()
	if r.plan.mounts == nil || p == nil {
		return r.content(n)
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	out := map[string][]byte{}
	for k, v := range n.disk.rows {
		if p.replicates(k) {
			out[k] = v
		}
	}
	return out
}
