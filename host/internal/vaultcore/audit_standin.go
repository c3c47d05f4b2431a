// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/eventlogger"
	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/helper/salt"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// auditRetry is the least pause between attempts to open an audit device, because each request asks for it.
const auditRetry = time.Second

// TolerateAuditFailures lets a performance secondary be unsealed even if it cannot open an audit device of the primary,
// because a directory, a socket or a syslog is missing. Vault refuses the unseal if no device opens, and on a secondary
// no operator can disable a device. A stand-in replaces each device that fails to open. It refuses each entry, so
// Vault's own rule still protects: a request is answered only if at least one device has logged it. It tries to open
// the device again. report is called with the reason, and with nil when the device is open. This must be called before
// the first unseal. In every role a device makes a missing salt only where it may, see [auditSalt].
func (c *Core) TolerateAuditFailures(report func(path string, err error)) {
	slot := pinned.Field[map[string]audit.Factory](c.Core, "auditBackends")
	tolerant := maps.Clone(*slot)
	for kind, factory := range tolerant {
		tolerant[kind] = func(conf *audit.BackendConfig, headers audit.HeaderFormatter) (audit.Backend, error) {
			own := *conf
			own.SaltView = c.withAuditSalt(conf.SaltView)
			open := func() (audit.Backend, error) { return factory(&own, headers) }
			if !c.ReplicationState().HasState(consts.ReplicationPerformanceSecondary) {
				return open()
			}
			device, err := open()
			if err == nil && device != nil {
				return device, nil
			}
			if err == nil {
				err = errors.New("the device type makes no device")
			}
			report(conf.MountPath, err)
			return newAuditStandIn(conf.MountPath, open, err, report)
		}
	}
	*slot = tolerant
}

// auditStandIn is an audit device that is opened later. To the broker it is a
// pipeline of its own: a formatter that does nothing, and a sink that sends each
// entry through the pipeline of the device once there is one.
type auditStandIn struct {
	path   string
	open   func() (audit.Backend, error)
	report func(string, error)
	ids    []eventlogger.NodeID
	nodes  map[eventlogger.NodeID]eventlogger.Node

	mu     sync.Mutex
	device audit.Backend
	failed error
	tried  time.Time
}

func newAuditStandIn(path string, open func() (audit.Backend, error), failed error, report func(string, error)) (
	*auditStandIn, error) {
	s := &auditStandIn{path: path, open: open, report: report, failed: failed, tried: time.Now(),
		nodes: map[eventlogger.NodeID]eventlogger.Node{}}
	for _, node := range []eventlogger.Node{passNode{}, standInSink{s}} {
		id, err := uuid.GenerateUUID()
		if err != nil {
			return nil, err
		}
		s.ids = append(s.ids, eventlogger.NodeID(id))
		s.nodes[eventlogger.NodeID(id)] = node
	}
	return s, nil
}

// opened is the device, if it can be opened by now.
func (s *auditStandIn) opened() (audit.Backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.device != nil {
		return s.device, nil
	}
	if time.Since(s.tried) < auditRetry {
		return nil, s.refusal()
	}
	s.tried = time.Now()
	device, err := s.open()
	if err != nil {
		s.failed = err
		return nil, s.refusal()
	}
	s.device = device
	s.report(s.path, nil)
	return device, nil
}

func (s *auditStandIn) refusal() error {
	return fmt.Errorf("the audit device %s of the primary cannot be opened on this secondary: %w", s.path, s.failed)
}

func (s *auditStandIn) EventType() eventlogger.EventType                        { return "audit" }
func (s *auditStandIn) HasFiltering() bool                                      { return false }
func (s *auditStandIn) Name() string                                            { return s.path }
func (s *auditStandIn) Nodes() map[eventlogger.NodeID]eventlogger.Node          { return s.nodes }
func (s *auditStandIn) NodeIDs() []eventlogger.NodeID                           { return s.ids }
func (s *auditStandIn) IsFallback() bool                                        { return false }
func (s *auditStandIn) LogTestMessage(context.Context, *logical.LogInput) error { return nil }

// Reload is an operator's SIGHUP: the device is tried at once.
func (s *auditStandIn) Reload() error {
	s.mu.Lock()
	s.tried = time.Time{}
	s.mu.Unlock()
	device, err := s.opened()
	if err != nil {
		return err
	}
	return device.Reload()
}

func (s *auditStandIn) Invalidate(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.device != nil {
		s.device.Invalidate(ctx)
	}
}

func (s *auditStandIn) Salt(ctx context.Context) (*salt.Salt, error) {
	device, err := s.opened()
	if err != nil {
		return nil, err
	}
	return device.Salt(ctx)
}

type passNode struct{}

func (passNode) Process(_ context.Context, e *eventlogger.Event) (*eventlogger.Event, error) {
	return e, nil
}
func (passNode) Reopen() error              { return nil }
func (passNode) Type() eventlogger.NodeType { return eventlogger.NodeTypeFormatter }

type standInSink struct{ of *auditStandIn }

func (n standInSink) Process(ctx context.Context, e *eventlogger.Event) (*eventlogger.Event, error) {
	device, err := n.of.opened()
	if err != nil {
		return nil, err
	}
	for _, id := range device.NodeIDs() {
		if e, err = device.Nodes()[id].Process(ctx, e); err != nil || e == nil {
			return nil, err
		}
	}
	return nil, nil
}

func (n standInSink) Reopen() error            { return n.of.Reload() }
func (standInSink) Type() eventlogger.NodeType { return eventlogger.NodeTypeSink }
