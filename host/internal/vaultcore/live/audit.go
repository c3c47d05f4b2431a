// SPDX-License-Identifier: MPL-2.0

package live

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/audit"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// EnableAudit opens an audit device and begins to log to it.
func (l Audit) EnableAudit(ctx context.Context, e mounttable.Entry) error {
	entry, err := l.decode(ctx, e)
	if err != nil {
		return err
	}
	return pinned.EnableAudit(l.core, root(ctx), entry, false)
}

// DisableAudit ends an audit device.
func (l Audit) DisableAudit(ctx context.Context, path string) error {
	found, err := pinned.DisableAudit(l.core, root(ctx), path, false)
	if err == nil && !found {
		return fmt.Errorf("there is no audit device %s", path)
	}
	return err
}

// HasAuditSalt says whether the salt of an audit device is there. Vault makes one
// when the first request is logged if it is not, which a secondary may not:
// nothing could be logged then.
func (l Audit) HasAuditSalt(ctx context.Context, uuid string) (bool, error) {
	raw, err := l.get(ctx, "audit/"+uuid+"/salt")
	return raw != nil, err
}

// AuditSalts makes all devices read their salts anew.
func (l Audit) AuditSalts(ctx context.Context) {
	if b := l.broker(); b != nil {
		b.Invalidate(ctx, "salt")
	}
}

// broker is the audit broker.
func (l Audit) broker() *audit.Broker {
	return *pinned.Field[*audit.Broker](l.core, "auditBroker")
}
