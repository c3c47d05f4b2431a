// SPDX-License-Identifier: MPL-2.0

package role

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// changed returns the primary after rotations and rekeys in quick succession, and the share that opens it.
func (s *set) changed(t *testing.T, k kill) (p *process, share []byte) {
	t.Helper()
	p, share = open(t, k, newDisk(s.primary), s.share), s.share
	for _, again := range []bool{false, true} {
		require.NoError(t, rotate(p, s))
		require.NoError(t, s.write(p))
		require.NoError(t, rekey(p, share, func(fresh []byte) { share = fresh }))
		require.NoError(t, s.write(p))
		if again {
			require.NoError(t, rotate(p, s))
			require.NoError(t, rotate(p, s))
			require.NoError(t, s.write(p))
		}
	}
	require.NoError(t, p.shares.Tell(t.Context()))
	return p, share
}

// A secondary is killed at any write while it follows rotations and rekeys. Its share still opens it, and it gets
// everything that the primary has.
func TestSecondaryIsKilledAtEachWriteOfNewKeys(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		s := newSet(t, k)
		primary, _ := s.changed(t, k)
		frames := s.frames(t, primary)
		for write, done := 0, false; !done; write++ {
			p := open(t, k, newDisk(s.secondary), s.share)
			p.disk.killAt(write, k.lands)
			err := p.apply(frames)
			if done = !p.disk.killed(); done {
				require.NoError(t, err)
				require.Greater(t, write, 15)
			} else {
				p = open(t, k, p.disk.survivor(), s.share)
				require.NoError(t, p.apply(frames))
			}
			require.True(t, p.wants(t), "its shares are not the primary's any more")
			s.requireSame(t, k, primary, p, s.share)
		}
	})
}

// A secondary is killed at any write while it takes over the shares of a rekeyed primary. The old share or the new one
// opens it, and in the end only the new one.
func TestSecondaryIsKilledAtEachWriteOfNewShares(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		s := newSet(t, k)
		primary, share := s.changed(t, k)
		p := open(t, k, newDisk(s.secondary), s.share)
		require.False(t, p.wants(t))
		require.NoError(t, p.apply(s.frames(t, primary)))
		followed := p.disk.survivor()
		for write, done := 0, false; !done; write++ {
			p := open(t, k, newDisk(followed.rows), s.share)
			require.True(t, p.wants(t))
			p.disk.killAt(write, k.lands)
			err := p.asks(t, primary.material(t))
			if done = !p.disk.killed(); done {
				require.NoError(t, err)
			} else {
				p = openAny(t, k, p.disk.survivor(), s.share, share)
				if p.wants(t) {
					require.NoError(t, p.asks(t, primary.material(t)))
				}
			}
			require.False(t, p.wants(t))
			s.requireSame(t, k, primary, p, share)
			require.False(t, start(t, k, newDisk(p.disk.rows)).opens(s.share), "the old share is refused")
		}
	})
}

// A secondary was away for all changes and asks for the keys. Wherever it is killed, its old share or the primary's new
// one opens it, and in the end it has everything.
func TestSecondaryIsKilledAtEachWriteOfKeysThatItAskedFor(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		s := newSet(t, k)
		primary, share := s.changed(t, k)
		// The ring in memory is gone: only present values can be sent.
		primary = open(t, k, primary.disk.survivor(), share)
		frames := s.frames(t, primary)
		for write, done := 0, false; !done; write++ {
			p := open(t, k, newDisk(s.secondary), s.share)
			p.disk.killAt(write, k.lands)
			err := p.apply(frames)
			if err == nil {
				held, herr := p.ring.Held(t.Context())
				require.NoError(t, herr)
				require.True(t, held, "it cannot follow")
				err = p.asks(t, primary.material(t))
			}
			if done = !p.disk.killed(); done {
				require.NoError(t, err)
				require.Greater(t, write, 3)
			} else {
				p = openAny(t, k, p.disk.survivor(), s.share, share)
				require.NoError(t, p.apply(frames))
				if p.wants(t) {
					require.NoError(t, p.asks(t, primary.material(t)))
				}
			}
			require.NoError(t, p.apply(frames))
			s.requireSame(t, k, primary, p, share)
		}
	})
}

// A primary is killed at any write of a rotation or a rekey. If it can be opened it goes on, and its secondary follows
// or asks. Between two writes of a rekey Vault cannot be opened any more, with or without replication. Then the
// secondary has the former state, and its share opens it.
func TestPrimaryIsKilledAtEachWriteOfAChangeOfKeys(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		s := newSet(t, k)
		for name, change := range map[string]func(p *process, fresh *[]byte) error{
			"rotate": func(p *process, _ *[]byte) error { return rotate(p, s) },
			"rekey": func(p *process, fresh *[]byte) error {
				return rekey(p, s.share, func(f []byte) { *fresh = f })
			},
		} {
			lost := 0
			for write, done := 0, false; !done; write++ {
				share := s.share
				p := open(t, k, newDisk(s.primary), s.share)
				require.NoError(t, s.write(p))
				p.disk.killAt(write, k.lands)
				err := change(p, &share)
				if done = !p.disk.killed(); done {
					require.NoError(t, err)
					require.Greater(t, write, 2, name)
				}
				wrote := slices.Clone(p.disk.wrote)
				secondary := open(t, k, newDisk(s.secondary), s.share)
				p = start(t, k, p.disk.survivor())
				if !p.opens(share) && !p.opens(s.share) {
					require.True(t, unopenable(wrote, k.lands), "%s killed at %v", name, wrote)
					lost++
					continue
				}
				require.NoError(t, rotate(p, s))
				require.NoError(t, s.write(p))
				require.NoError(t, p.shares.Tell(t.Context()))
				frames := s.frames(t, p)
				require.NoError(t, secondary.apply(frames))
				if secondary.wants(t) {
					require.NoError(t, secondary.asks(t, p.material(t)))
					require.NoError(t, secondary.apply(frames))
				}
				require.False(t, secondary.wants(t))
				s.requireSame(t, k, p, secondary, share, s.share)
				primaryOpens, oldOpens := start(t, k, newDisk(p.disk.rows)), start(t, k, newDisk(secondary.disk.rows))
				require.Equal(t, primaryOpens.opens(s.share), oldOpens.opens(s.share), "the same shares open both")
			}
			if name == "rotate" {
				require.Zero(t, lost)
			}
		}
	})
}

// unopenable says whether the writes of a killed rekey have stored the new root key
// under the new share and not yet the keyring under the new root key.
func unopenable(wrote []string, landed bool) bool {
	if !landed {
		wrote = wrote[:len(wrote)-1]
	}
	has := func(key string) bool {
		return slices.ContainsFunc(wrote, func(w string) bool { return slices.Contains(strings.Split(w, "+"), key) })
	}
	return has("core/hsm/barrier-unseal-keys") && !has(vaultname.Keyring)
}
