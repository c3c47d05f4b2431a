// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// AuditPath begins the paths under which the primary audits what secondaries have it
// change. No client's request can have such a path.
const AuditPath = "identity/for-secondary/"

// audited runs a change between two audit entries. As in Vault, a change that cannot be
// audited is not made, and an answer that cannot be audited is not given. The login is in
// the secondary's audit log. Many logins that want the same at once are one change.
func (s *Server) audited(ctx context.Context, secondaryID, kind string, fields map[string]any,
	change func() (Entity, error)) (Entity, error) {
	id, err := uuid.GenerateUUID()
	if err != nil {
		return Entity{}, err
	}
	entry := &logical.LogInput{Request: &logical.Request{
		ID:                 id,
		Operation:          logical.UpdateOperation,
		Path:               AuditPath + kind,
		MountPoint:         "identity/",
		MountType:          "identity",
		Data:               fields,
		ReplicationCluster: secondaryID,
		ForwardedFrom:      "performance secondary " + secondaryID,
	}}
	if err := s.o.Audit.AuditRequest(ctx, entry); err != nil {
		s.o.Logger.Error("a change of identity for a secondary cannot be audited and is refused", "secondary", secondaryID,
			"kind", kind, "error", err)
		return Entity{}, replication.Errorf(replication.Unavailable, "the primary cannot write it to its audit devices, or "+
			"is not active any more, and did not make it")
	}
	out, changeErr := change()
	answer := *entry
	answer.OuterErr = changeErr
	if no, ok := changeErr.(refusal); ok { //nolint:errorlint // made here, never wrapped
		answer.Response, answer.OuterErr = logical.ErrorResponse(no.reason), logical.ErrPermissionDenied
	} else if changeErr == nil && out.ID != "" {
		answer.Response = &logical.Response{Data: map[string]any{"entity_id": out.ID}}
	}
	if err := s.o.Audit.AuditResponse(ctx, &answer); err != nil {
		s.o.Logger.Error("a change of identity for a secondary was made, but its answer cannot be audited and is withheld",
			"secondary", secondaryID, "kind", kind, "error", err)
		return Entity{}, replication.Errorf(replication.Uncertain, "the primary may have made it and cannot write the "+
			"answer to its audit devices, or is not active any more")
	}
	return out, changeErr
}
