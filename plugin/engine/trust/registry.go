// SPDX-License-Identifier: MPL-2.0

package trust

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Records is the part of replication.Host that a registry needs.
type Records interface {
	GetState(ctx context.Context, key string) ([]byte, error)
	PutState(ctx context.Context, key string, value []byte) error
	DeleteState(ctx context.Context, key string) error
	ListState(ctx context.Context, prefix string) ([]string, error)
}

// Names of records. Ids are encoded so that whatever characters they have, a
// record's name has none that a storage could treat as special.
const (
	AuthorityKey  = "primary/authority"
	memberPrefix  = "primary/secondary/"
	revokedPrefix = "primary/revoked/"
)

type member struct {
	ID      string    `json:"id"`
	Serial  string    `json:"serial"`
	Since   time.Time `json:"since"`
	Revoked time.Time `json:"revoked,omitzero"`
}

// Registry has a primary's registered and revoked secondaries. Its answers are stored.
type Registry struct {
	records Records
	// writing is held while a record is written, which may take long. The check of a certificate and a status must not
	// wait for that.
	writing link.Gate

	mu      sync.RWMutex // held for a moment, after writing
	members map[string]member
	revoked map[string]member
}

// LoadRegistry reads the records of this cluster, and ends revocations that a
// crash cut in two.
func LoadRegistry(ctx context.Context, records Records) (*Registry, error) {
	r := &Registry{records: records, writing: link.NewGate(), members: map[string]member{}, revoked: map[string]member{}}
	for prefix, into := range map[string]map[string]member{memberPrefix: r.members, revokedPrefix: r.revoked} {
		names, err := records.ListState(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			data, err := records.GetState(ctx, name)
			if err != nil {
				return nil, err
			}
			m, err := decodeMember(prefix, name, data)
			if err != nil {
				return nil, err
			}
			into[m.ID] = m
		}
	}
	for id := range r.revoked {
		if _, ok := r.members[id]; !ok {
			continue
		}
		if err := records.DeleteState(ctx, recordName(memberPrefix, id)); err != nil {
			return nil, err
		}
		delete(r.members, id)
	}
	return r, nil
}

// memberMax bounds the record of a secondary, serialMax the serial number in it, in
// bytes.
const (
	memberMax = 4 << 10
	serialMax = 64
)

// decodeMember reads the record of a secondary. No record is skipped: without one of them a
// primary would let a revoked secondary in, or lose one.
func decodeMember(prefix, name string, data []byte) (member, error) {
	var m member
	if len(data) > memberMax || json.Unmarshal(data, &m) != nil || name != recordName(prefix, m.ID) ||
		CheckID(m.ID) != nil || m.Serial == "" || len(m.Serial) > serialMax {
		return member{}, fmt.Errorf("the record %q of a secondary cannot be read", name)
	}
	return m, nil
}

func recordName(prefix, id string) string {
	return prefix + base64.RawURLEncoding.EncodeToString([]byte(id))
}

// Register records a secondary with its certificate. From now on only this certificate is accepted for the id, even if
// the id was registered or revoked before.
func (r *Registry) Register(ctx context.Context, id, serial string, now time.Time) error {
	if err := r.writing.Enter(ctx); err != nil {
		return err
	}
	defer r.writing.Leave()
	if err := CheckID(id); err != nil {
		return err
	}
	m := member{ID: id, Serial: serial, Since: now.UTC()}
	if err := r.put(ctx, memberPrefix, m); err != nil {
		return err
	}
	r.mu.RLock()
	_, refused := r.revoked[id]
	r.mu.RUnlock()
	if refused {
		// A crash in between leaves both records, and the refusal wins.
		if err := r.records.DeleteState(ctx, recordName(revokedPrefix, id)); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.revoked, id)
	r.members[id] = m
	return nil
}

// Revoke refuses a secondary from the moment it returns, also after a crash. It
// is NotFound for an id that is not registered.
func (r *Registry) Revoke(ctx context.Context, id string, now time.Time) error {
	if err := r.writing.Enter(ctx); err != nil {
		return err
	}
	defer r.writing.Leave()
	r.mu.RLock()
	m, ok := r.members[id]
	r.mu.RUnlock()
	if !ok {
		return replication.Errorf(replication.NotFound, "no secondary %q is registered: see known_secondaries in the "+
			"replication status", clipID(id))
	}
	m.Revoked = now.UTC()
	// The refusal is recorded first. A crash in between leaves both records, and the
	// refusal wins.
	if err := r.put(ctx, revokedPrefix, m); err != nil {
		return err
	}
	r.mu.Lock()
	r.revoked[id] = m
	delete(r.members, id)
	r.mu.Unlock()
	// Should this fail, LoadRegistry ends it later.
	_ = r.records.DeleteState(ctx, recordName(memberPrefix, id))
	return nil
}

func clipID(id string) string {
	if len(id) > idMax {
		return id[:idMax] + "..."
	}
	return id
}

func (r *Registry) put(ctx context.Context, prefix string, m member) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return r.records.PutState(ctx, recordName(prefix, m.ID), data)
}

// IDs are those of the registered secondaries, sorted.
func (r *Registry) IDs() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.members))
}

// Identify returns the secondary that a certificate belongs to. The host has verified that the authority signed it. The
// error is Denied unless it is the recorded certificate of a secondary that is not revoked. If a refused certificate
// names an id, the id is returned too.
func (r *Registry) Identify(leafDER []byte) (id string, err error) {
	cert, err := x509.ParseCertificate(leafDER)
	if err != nil {
		return "", replication.Errorf(replication.Denied, "the certificate of the secondary cannot be read: join it with a "+
			"new activation token")
	}
	id = cert.Subject.CommonName
	return id, r.allow(id, serialText(cert.SerialNumber))
}

func (r *Registry) allow(id, serial string) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ok := r.revoked[id]; ok {
		return replication.Errorf(replication.Denied, "the secondary %q was revoked on the primary: join it with a new "+
			"activation token", clipID(id))
	}
	m, ok := r.members[id]
	if !ok || m.Serial != serial {
		return replication.Errorf(replication.Denied, "the primary does not know this certificate of a secondary %q: join "+
			"it with a new activation token", clipID(id))
	}
	return nil
}
