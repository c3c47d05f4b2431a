// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// version is the first byte of a message.
const version = 1

// requestRecord is the form in which a Request is sent. Its fields are part of the format.
type requestRecord struct {
	Logical                             *logical.Request
	Headers, ClientHeaders              map[string][]string
	Mount                               mountRecord
	TLS                                 *tls.ConnectionState
	MountPath, MountUUID, MountAccessor string
	Timeout                             time.Duration
}

// mountRecord is what logical.Request knows of its mount besides its exported fields. An
// audit device writes it.
type mountRecord struct {
	RunningVersion, RunningSha256, Class string
	External                             bool
}

// EncodeRequest encodes a request without its tokens. InvalidInput for a request that no
// other cluster can carry out.
func EncodeRequest(r *Request) ([]byte, error) {
	l := r.Logical
	if l == nil {
		return nil, replication.Errorf(replication.InvalidInput, "there is no request to send to the primary")
	}
	if l.RequiresSnapshotID != "" {
		return nil, replication.Errorf(replication.InvalidInput,
			"the request needs the snapshot %q, which is loaded on this cluster only: the primary cannot carry it out",
			l.RequiresSnapshotID)
	}
	rec := &requestRecord{
		Logical:       l,
		Headers:       secretsOf(l).without(l.Headers),
		ClientHeaders: secretsOf(l).sentWith(r.ClientHeaders).without(r.ClientHeaders),
		Mount: mountRecord{
			RunningVersion: l.MountRunningVersion(), RunningSha256: l.MountRunningSha256(),
			Class: l.MountClass(), External: l.MountIsExternalPlugin(),
		},
		MountPath: r.MountPath, MountUUID: r.MountUUID, MountAccessor: r.MountAccessor,
		Timeout: r.Timeout,
	}
	if l.Connection != nil {
		rec.TLS = l.Connection.ConnState
	}
	return encode("request", rec)
}

// DecodeRequest decodes what EncodeRequest made.
func DecodeRequest(raw []byte) (*Request, error) {
	var rec requestRecord
	if err := decode("request", raw, &rec); err != nil {
		return nil, err
	}
	l := rec.Logical
	if l == nil {
		return nil, replication.Errorf(replication.InvalidInput, "a message that should have a request has none")
	}
	l.Headers = rec.Headers
	l.SetMountRunningVersion(rec.Mount.RunningVersion)
	l.SetMountRunningSha256(rec.Mount.RunningSha256)
	l.SetMountClass(rec.Mount.Class)
	l.SetMountIsExternalPlugin(rec.Mount.External)
	if l.Connection != nil {
		l.Connection.ConnState = rec.TLS
	}
	return &Request{
		Logical:   l,
		MountPath: rec.MountPath, MountUUID: rec.MountUUID, MountAccessor: rec.MountAccessor,
		ClientHeaders: rec.ClientHeaders, Timeout: rec.Timeout,
	}, nil
}

// encode makes a message of a record.
func encode(what string, record any) ([]byte, error) {
	t, err := tree(reflect.ValueOf(record), 0)
	if err != nil {
		return nil, unsendable(what, err)
	}
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, unsendable(what, err)
	}
	return append([]byte{version}, raw...), nil
}

// decode sets a record, given by its address, from a message.
func decode(what string, raw []byte, record any) error {
	if len(raw) == 0 {
		return invalid(what, fmt.Errorf("it is empty"))
	}
	if raw[0] != version {
		return invalid(what, fmt.Errorf("it has version %d and this cluster knows version %d: run the same version on both "+
			"clusters", raw[0], version))
	}
	if err := affordable(raw[1:]); err != nil {
		return invalid(what, err)
	}
	t, err := parse(raw[1:])
	if err != nil {
		return invalid(what, err)
	}
	if err := fill(reflect.ValueOf(record).Elem(), t); err != nil {
		return invalid(what, err)
	}
	return nil
}

func unsendable(what string, err error) error {
	return replication.Errorf(replication.InvalidInput, "the %s cannot be sent to the other cluster: %w", what, err)
}

func invalid(what string, err error) error {
	return replication.Errorf(replication.InvalidInput, "the %s of the other cluster cannot be read: %w", what, err)
}
