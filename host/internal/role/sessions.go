// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/cluster"
	"github.com/vault-replication/vault-replication/host/internal/pairing"
	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// stopTimeout bounds how long the node waits for a plugin to end its sessions, because a plugin that hangs must not
// keep Vault from sealing.
const stopTimeout = 5 * time.Second

const (
	// statusTimeout bounds how long the status waits for the plugin.
	statusTimeout = 3 * time.Second
	// tellTimeout bounds how long a plugin may take to hear of a revocation, which holds already.
	tellTimeout = 5 * time.Second
	// tellAgain is the pause before a plugin that did not answer is told again.
	tellAgain = 5 * time.Second
	// roleTimeout bounds how long a request waits for the plugin to take up its role.
	roleTimeout = 5 * time.Second
)

// Plugins gives the plugin of each mode.
type Plugins interface {
	// Backend is the plugin of a mode; it starts the process if it does not run. Calls are Unavailable while the process
	// is down.
	Backend(ctx context.Context, mode replication.Mode) (replication.Backend, error)
	// Running is the plugin of a mode if it was started, nil otherwise.
	Running(mode replication.Mode) replication.Backend
	// Trouble is one sentence on why the plugin of a mode is down, empty while it
	// is up.
	Trouble(mode replication.Mode) string
}

// sessions are the sessions of the plugins on this node.
type sessions struct {
	roles   *roles
	plugins Plugins
	port    *cluster.Port
	paired  *pairing.Book
	logger  hclog.Logger
	begun   begun
	// onlyGiven goes to the plugins, see [replication.StartRequest].
	onlyGiven bool
}

// begun has the modes whose plugin has taken up its role in this duty of the node. The zero value has none.
type begun struct {
	mu    sync.Mutex
	modes map[replication.Mode]chan struct{} // closed once it has
}

func (b *begun) of(mode replication.Mode) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.modes == nil {
		b.modes = map[replication.Mode]chan struct{}{}
	}
	if b.modes[mode] == nil {
		b.modes[mode] = make(chan struct{})
	}
	return b.modes[mode]
}

func (b *begun) begin(mode replication.Mode) {
	has := b.of(mode)
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-has:
	default:
		close(has)
	}
}

func (b *begun) end(mode replication.Mode) {
	has := b.of(mode)
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-has:
		delete(b.modes, mode)
	default: // callers that wait go on waiting
	}
}

// startPlugin makes the plugin of a mode run and gives it the role. The plugin's
// own (re)starts come through PluginStarted.
func (ss *sessions) startPlugin(ctx context.Context, mode replication.Mode) {
	b := ss.plugins.Running(mode)
	if b == nil {
		// A process that starts now gets its role through PluginStarted.
		if _, err := ss.plugins.Backend(ctx, mode); err != nil && ctx.Err() == nil {
			ss.logger.Error("the replication plugin does not start; it is tried again", "mode", mode, "error", err)
		}
		return
	}
	if err := ss.giveRole(ctx, mode, b); err != nil && ctx.Err() == nil {
		ss.logger.Error("the replication plugin did not take up its role", "mode", mode, "error", err)
	}
}

func (ss *sessions) giveRole(ctx context.Context, mode replication.Mode, b replication.Backend) error {
	mr := ss.roles.Record().mode(mode)
	err := b.Start(ctx, replication.StartRequest{Role: mr.Role, ClusterID: mr.SetID, Contested: mr.Contested,
		OnlyGiven: ss.onlyGiven})
	if err == nil {
		ss.begun.begin(mode)
	}
	if err == nil && mr.Role == replication.Primary {
		ss.tellRevocations(ctx, mode, b)
	}
	return err
}

// stopPlugin ends the sessions of a mode; the process stays.
func (ss *sessions) stopPlugin(mode replication.Mode) {
	ss.begun.end(mode)
	if b := ss.plugins.Running(mode); b != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			ss.logger.Warn("the replication plugin did not end its sessions in time; they are cut", "mode", mode, "error", err)
		}
	}
	ss.port.StopListening(mode)
}

// backend is the plugin of a mode on the active node, started if need be. A change of role is answered before the
// plugin has taken the new role up, so backend waits for that.
func (ss *sessions) backend(ctx context.Context, mode replication.Mode) (replication.Backend, error) {
	if _, err := ss.roles.active(); err != nil {
		return nil, err
	}
	b, err := ss.plugins.Backend(ctx, mode)
	if err != nil || ss.roles.Role(mode) == replication.Disabled {
		return b, err
	}
	soon, cancel := context.WithTimeout(ctx, roleTimeout)
	defer cancel()
	select {
	case <-ss.begun.of(mode):
	case <-soon.Done(): // the plugin itself says that it has no role
	}
	return b, nil
}

// tell tells the plugin of a revocation. If the host knows the secondary and the plugin does not, it counts as told,
// because the plugin may have lost its record.
func (ss *sessions) tell(ctx context.Context, mode replication.Mode, b replication.Backend, id string,
	known bool) error {
	err := b.RevokeSecondary(ctx, replication.RevokeSecondaryRequest{ID: id})
	if err != nil && !(known && replication.KindOf(err) == replication.NotFound) {
		return err
	}
	return ss.paired.Told(ctx, mode, id)
}

// tellRevocations tells a plugin the revocations that it missed. It says whether the plugin has heard all.
func (ss *sessions) tellRevocations(ctx context.Context, mode replication.Mode, b replication.Backend) bool {
	ids, err := ss.paired.Untold(ctx, mode)
	if err != nil {
		ss.logger.Warn("the revocations that the plugin has not heard of could not be read", "mode", mode, "error", err)
		return false
	}
	all := true
	for _, id := range ids {
		telling, cancel := context.WithTimeout(ctx, tellTimeout)
		if err := ss.tell(telling, mode, b, id, true); err != nil {
			ss.logger.Debug("the plugin has not heard of a revocation", "mode", mode, "id", id, "error", err)
			all = false
		}
		cancel()
	}
	return all
}

// keepTelling goes on to tell a plugin that did not answer, until it has heard all or this node does not lead a primary
// any more. Then the next active node tells it.
func (ss *sessions) keepTelling(duty context.Context, mode replication.Mode) {
	for pause.For(duty, tellAgain) == nil {
		if ss.roles.Role(mode) != replication.Primary {
			return
		}
		if b := ss.plugins.Running(mode); b != nil && ss.tellRevocations(duty, mode, b) {
			return
		}
	}
}

// failoverPatience bounds how long a heartbeat waits for the plugin of another mode.
const failoverPatience = time.Second

// failoverAddrs are the cluster addresses of the secondaries that stand in for this cluster: a promoted one takes over
// its role in the other modes. It is nil while they are unknown.
func (ss *sessions) failoverAddrs(ctx context.Context) []string {
	addrs := []string{}
	for _, m := range modes {
		if !m.StandsIn() || ss.roles.Role(m) != replication.Primary {
			continue
		}
		b := ss.plugins.Running(m)
		if b == nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, failoverPatience)
		defer cancel()
		status, err := b.Status(ctx)
		if err != nil || status.State != replication.Running {
			return nil
		}
		addrs = append(addrs, status.FailoverAddrs...)
	}
	return addrs
}

// Here implements [filters.Roles].
func (ss *sessions) Here() (is replication.Role, secondaryID string) {
	mr := ss.roles.Record().mode(ofClients)
	return mr.Role, mr.SecondaryID
}

// Registered implements [filters.Roles].
func (ss *sessions) Registered(ctx context.Context) ([]string, error) {
	b, err := ss.backend(ctx, ofClients)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := b.Status(ctx)
	if err != nil {
		return nil, err
	}
	return status.KnownSecondaries, nil
}

// renew ends and begins the sessions of a mode.
func (ss *sessions) renew(ctx context.Context, mode replication.Mode) error {
	if ss.roles.Role(mode) == replication.Disabled {
		return replication.Errorf(replication.InvalidInput, "%s replication is not enabled on this cluster: there is "+
			"nothing to recover", mode)
	}
	b, err := ss.backend(ctx, mode)
	if err != nil {
		return err
	}
	return b.Recover(ctx)
}

// copyAgain begins the copy or comparison that was forced, even if no row comes whose refusal would begin it.
func (ss *sessions) copyAgain(ctx context.Context) {
	if err := ss.renew(ctx, ofClients); err != nil {
		ss.logger.Warn("the copy or comparison that this secondary needs begins with the next session", "error", err)
	}
}
