// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/duty"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Core is what a receiver needs of the primary's core.
type Core interface {
	// Execute runs a request in the backend at the path, if it is the mount with this UUID and accessor and neither local
	// nor tainted. Empty UUID and accessor stand for the core's own backends. The request's path is relative to the mount.
	// Execute and the audit calls fail with [duty.Away] if the node is not active, or stops being active while they run.
	Execute(ctx context.Context, req *logical.Request, path, uuid, accessor string) (*logical.Response, error)
	// AuditRequest and AuditResponse write to the audit devices. They fail when no
	// device took the entry.
	AuditRequest(ctx context.Context, in *logical.LogInput) error
	AuditResponse(ctx context.Context, in *logical.LogInput) error
	// MountAt is the mount that serves a path.
	MountAt(path string) (vaultname.Mount, bool)
}

// Receiver carries out on the primary what secondaries forward.
type Receiver struct {
	Core Core
	// Allowed says whether a secondary has the mount with this UUID. It must not reach a
	// mount that its paths filter withholds. Nil allows all.
	Allowed func(secondaryID, uuid string) bool
	Logger  hclog.Logger
}

// longest is Vault's own limit for a request. It holds whatever timeout the sender names.
const longest = 90 * time.Second

// Handle carries out a request of a secondary. The answer has any error.
func (r *Receiver) Handle(ctx context.Context, secondaryID string, in *wire.Request) *wire.Answer {
	resp, err := r.handle(ctx, secondaryID, in)
	return &wire.Answer{Response: resp, Err: err}
}

func (r *Receiver) handle(ctx context.Context, secondaryID string, in *wire.Request) (*logical.Response, error) {
	if in == nil || in.Logical == nil {
		return nil, coded(http.StatusBadRequest, "the forwarded request is empty")
	}
	req := r.strip(in.Logical, secondaryID)
	if err := r.admit(secondaryID, in, req); err != nil {
		r.log().Warn("a forwarded request was refused", "secondary", secondaryID, "mount", in.MountPath, "operation",
			req.Operation, "error", err)
		return nil, err
	}
	limit := in.Timeout
	if limit <= 0 || limit > longest {
		limit = longest
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return r.audited(ctx, in, req)
}

// strip makes a request without anything that a backend could take for a permission. The audit log shows it as
// forwarded.
func (r *Receiver) strip(in *logical.Request, secondaryID string) *logical.Request {
	req := *in
	req.ClientToken = ""
	req.InboundSSCToken = ""
	req.Storage = nil
	req.SetTokenEntry(nil)
	req.MFACreds = nil
	req.ControlGroup = nil
	req.HTTPRequest = nil
	req.ResponseWriter = nil
	req.RequiresSnapshotID = ""
	req.ReplicationCluster = secondaryID
	req.ForwardedFrom = "performance secondary " + secondaryID
	return &req
}

// admit says whether a secondary may have a request carried out.
func (r *Receiver) admit(secondaryID string, in *wire.Request, req *logical.Request) error {
	if kind := coreKind(in.MountPath); kind != "" {
		if !mayArrive(kind, req.Operation, req.Path) {
			return coded(http.StatusForbidden, "the primary does not carry out %s on %s%s for a secondary", req.Operation,
				in.MountPath, req.Path)
		}
		if kind == vaultname.System {
			return r.admitTarget(secondaryID, req)
		}
		return nil
	}
	if !ruleOf(req.Operation).forward || strings.HasPrefix(in.MountPath, "cubbyhole/") || in.MountUUID == "" ||
		in.MountAccessor == "" {
		return coded(http.StatusForbidden, "the primary does not carry out %s on %s for a secondary", req.Operation,
			in.MountPath)
	}
	if !r.has(secondaryID, in.MountUUID) {
		return unknownMount(in.MountPath)
	}
	return nil
}

func (r *Receiver) has(secondaryID, uuid string) bool {
	return r.Allowed == nil || r.Allowed(secondaryID, uuid)
}

func unknownMount(path string) error {
	return coded(http.StatusNotFound, "the primary has no mount at %s that this secondary may use", path)
}

// coreKind is which of the core's own backends a path is of.
func coreKind(mountPath string) string {
	for kind, prefix := range corePrefixes {
		if mountPath == prefix {
			return kind
		}
	}
	return ""
}

// asAudited is a request as the primary's audit log shows it, with the primary's mount. The client's address and
// headers, the request's id and the identity come from the secondary. The primary's settings decide which headers are
// written, and how. ForwardedFrom names the secondary.
func (r *Receiver) asAudited(in *wire.Request, req *logical.Request) *logical.Request {
	logged := *req
	logged.Path = in.MountPath + req.Path
	logged.MountPoint = in.MountPath
	if in.ClientHeaders != nil { // a secondary of a former release sends none
		logged.Headers = in.ClientHeaders
	}
	m, _ := r.Core.MountAt(in.MountPath)
	logged.MountType, logged.MountAccessor = m.Type, m.Accessor
	logged.SetMountClass(m.Class)
	logged.SetMountIsExternalPlugin(m.External)
	logged.SetMountRunningVersion("")
	logged.SetMountRunningSha256("")
	return &logged
}

// audited runs a request between two audit entries. As in Vault, a request that
// cannot be audited is not run, and a response that cannot be audited is not given.
func (r *Receiver) audited(ctx context.Context, in *wire.Request, req *logical.Request) (*logical.Response, error) {
	logged := r.asAudited(in, req)
	entry := &logical.LogInput{Request: logged, Auth: authAsSent(req)}
	if err := r.Core.AuditRequest(ctx, entry); err != nil {
		if notServing(err) {
			return nil, errNotRun
		}
		r.log().Error("a forwarded request cannot be audited and is refused", "path", logged.Path, "error", err)
		return nil, coded(http.StatusInternalServerError, "the primary cannot audit the request and refuses it: look at "+
			"its audit devices")
	}
	uuid, accessor := in.MountUUID, in.MountAccessor
	if coreKind(in.MountPath) != "" {
		uuid, accessor = "", ""
	}
	marked, mark := refusal.With(ctx)
	resp, execErr := r.Core.Execute(marked, req, in.MountPath, uuid, accessor)
	var away *duty.Away
	switch {
	case errors.As(execErr, &away) && !away.Begun:
		resp, execErr = nil, errNotRun
	case away != nil:
		resp, execErr = nil, errPerhapsRun
	case execErr != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		resp, execErr = nil, errLate
	case cannotWrite(mark, req.Operation, resp, execErr):
		resp, execErr = nil, errPrimaryReadOnly
	}
	err := r.Core.AuditResponse(ctx, &logical.LogInput{Request: logged, Auth: entry.Auth, Response: resp,
		OuterErr: execErr})
	if err != nil {
		if away != nil && !away.Begun {
			return nil, execErr // the request was not run, even if its audit entry fails too
		}
		if notServing(err) {
			return nil, errPerhapsRun
		}
		r.log().Error("the response to a forwarded request cannot be audited and is withheld", "path", logged.Path, "error",
			err)
		return nil, errUnaudited
	}
	return resp, execErr
}

// cannotWrite says whether the backend failed because this cluster is no longer a primary. The secondary would take
// such an error for its own refusal.
func cannotWrite(mark *refusal.Mark, op logical.Operation, resp *logical.Response, err error) bool {
	return isReadOnly(err, true) || mark.Noted() && (ruleOf(op).writes || mentions(err) || tells(resp))
}

// notServing says whether audit failed because the node seals or ends its active duty
// during a request. Then its audit devices are not at fault.
func notServing(err error) bool {
	var away *duty.Away
	return errors.As(err, &away) ||
		slices.ContainsFunc([]error{consts.ErrSealed, consts.ErrStandby, duty.ErrEnds, context.Canceled},
			func(ends error) bool { return errors.Is(err, ends) })
}

// authAsSent is the client's identity, as the secondary has sent it.
func authAsSent(req *logical.Request) *logical.Auth {
	auth := &logical.Auth{DisplayName: req.DisplayName, EntityID: req.EntityID, Accessor: req.ClientTokenAccessor}
	if req.Auth != nil {
		auth.Policies = req.Auth.Policies
		auth.TokenPolicies = req.Auth.TokenPolicies
		auth.IdentityPolicies = req.Auth.IdentityPolicies
		auth.Metadata = req.Auth.Metadata
	}
	return auth
}

func (r *Receiver) log() hclog.Logger {
	if r.Logger == nil {
		return hclog.NewNullLogger()
	}
	return r.Logger
}
