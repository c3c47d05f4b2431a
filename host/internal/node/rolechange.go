// SPDX-License-Identifier: MPL-2.0

package node

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/version"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/api/rolechange"
	"github.com/vault-replication/vault-replication/host/internal/role"
	"github.com/vault-replication/vault-replication/host/internal/telemetry"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// itself answers what a node can say while its core cannot answer.
type itself struct {
	core       *vaultcore.Core
	controller *role.Controller
	plugins    *plugins
	tap        *storage.Tap

	mu sync.Mutex
	// last is the status before a change.
	last map[replication.Mode]*endpoints.ModeStatus
}

var _ rolechange.Node = (*itself)(nil)

// Status implements [telemetry.Node].
func (i *itself) Status(ctx context.Context, mode replication.Mode) (*endpoints.ModeStatus, error) {
	return i.controller.Status(ctx, mode)
}

// Counts implements [telemetry.Node].
func (i *itself) Counts(mode replication.Mode) telemetry.Counts {
	c := telemetry.Counts{PluginRestarts: i.plugins.supervisors[mode].Health().Restarts, Ring: i.tap.Ring(mode)}
	c.GatheredWrites, c.GatheredRows = i.tap.Gathered()
	return c
}

// behindBytes bounds the rows that a status reads for each secondary.
const behindBytes = 8 << 20

// behind names the mounts whose changes a secondary of this primary does not have.
func (i *itself) behind(ctx context.Context, mode replication.Mode, secondary string) (*endpoints.Behind, error) {
	paths, longest := map[string]string{}, 0
	for _, m := range i.core.Mounts() {
		paths[m.StoragePrefix] = m.Path
		longest = max(longest, len(m.StoragePrefix))
	}
	b := &endpoints.Behind{Changes: map[string]int{}}
	var err error
	b.All, err = i.tap.Behind(ctx, mode, secondary, behindBytes, func(key string) {
		path := ""
		for at, c := range key {
			if at >= longest {
				break
			}
			if c != '/' {
				continue
			}
			// Views of the core's mounts are inside each other: the longest one counts.
			if longer, ok := paths[key[:at+1]]; ok {
				path = longer
			}
		}
		b.Changes[path]++
	})
	return b, err
}

// Active implements [rolechange.Node] and [telemetry.Node].
func (i *itself) Active() bool { return i.controller.State().Active }

// PassesOn implements [rolechange.Node].
func (i *itself) PassesOn() bool { return !i.core.HasHA() || i.core.Sealed() || i.core.LeaderKnown() }

// Free implements [rolechange.Node].
func (i *itself) Free() bool { return i.core.Free() }

// rememberTimeout bounds how long a change waits for the plugins' status.
const rememberTimeout = 500 * time.Millisecond

// Remember implements [rolechange.Node].
func (i *itself) Remember() {
	ctx, cancel := context.WithTimeout(context.Background(), rememberTimeout)
	defer cancel()
	last := map[replication.Mode]*endpoints.ModeStatus{}
	for _, mode := range replication.Modes() {
		if s, err := i.controller.Status(ctx, mode); err == nil {
			last[mode] = s
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last = last
}

// status is the status before the change while the role is the former one, and then only the new role.
func (i *itself) status(mode replication.Mode) *endpoints.ModeStatus {
	now := i.controller.Known(mode)
	if last := i.before(mode); last != nil && last.Role == now.Role && last.ClusterID == now.ClusterID {
		return last
	}
	return now
}

func (i *itself) before(mode replication.Mode) *endpoints.ModeStatus {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last[mode]
}

// A status that is asked for during a change waits for the new role, but not as long as a demotion may wait for its
// secondaries: who watches wants to see that the node lives.
const (
	roleWait = 2 * time.Second
	rolePoll = 10 * time.Millisecond
)

// awaitRole waits for the new role: a client that has changed it and asks for the status must not see the former one.
func (i *itself) awaitRole(ctx context.Context, changing func() bool) {
	for changing() {
		for _, mode := range replication.Modes() {
			if last := i.before(mode); last == nil || i.status(mode) != last {
				return
			}
		}
		if pause.For(ctx, rolePoll) != nil {
			return
		}
	}
}

// own are the answers of a listener without the core.
func (n *Node) own(l *configutil.Listener) rolechange.Own {
	l = cmp.Or(l, &configutil.Listener{})
	return func(r *http.Request) (int, any, bool) {
		if r.URL.RawPath != "" || r.Header.Get(consts.NamespaceHeaderName) != "" || l.ChrootNamespace != "" ||
			n.core.Sealed() && !n.requests.Changing() {
			return 0, nil, false
		}
		get := r.Method == http.MethodGet
		switch {
		case r.URL.Path == "/v1/sys/health" && (get || r.Method == http.MethodHead):
			status, body := n.itself.health(r, l)
			return status, body, true
		case r.URL.Path == "/v1/sys/leader" && get:
			return http.StatusOK, &vault.LeaderResponse{HAEnabled: n.core.HasHA()}, true
		case get && !l.DisableReplicationStatusEndpoints:
			ctx, cancel := context.WithTimeout(r.Context(), roleWait)
			defer cancel()
			body, ok := endpoints.OwnStatus(r.URL.Path, func(mode replication.Mode) *endpoints.ModeStatus {
				n.itself.awaitRole(ctx, n.requests.Changing)
				return n.itself.status(mode)
			})
			return http.StatusOK, body, ok
		}
		return 0, nil, false
	}
}

// health is the health of a node that is not active, in its present role.
func (i *itself) health(r *http.Request, l *configutil.Listener) (int, *vaulthttp.HealthResponse) {
	state, word := i.controller.State(), i.core.ReplicationState()
	dr := word.GetDRString()
	code, parameter := http.StatusTooManyRequests, "standbycode"
	switch standbyOK, _ := strconv.ParseBool(r.URL.Query().Get("standbyok")); {
	case state.Bootstrapping:
		// The node is no DR secondary, though its core is built like one.
		code, parameter, dr = http.StatusServiceUnavailable, "sealedcode", string(replication.Disabled)
	case state.DRSecondary:
		code, parameter = statusDRSecondary, "drsecondarycode"
	case standbyOK:
		code, parameter = http.StatusOK, "activecode"
	}
	if other, err := strconv.Atoi(r.URL.Query().Get(parameter)); err == nil && other >= 100 && other <= 999 {
		code = other
	}
	body := &vaulthttp.HealthResponse{
		Initialized: true, Standby: true,
		ReplicationPerformanceMode: word.GetPerformanceString(), ReplicationDRMode: dr,
		ServerTimeUTC: time.Now().UTC().Unix(), Version: version.GetVersion().VersionNumber(),
	}
	if l.RedactVersion {
		body.Version = ""
	}
	return code, body
}

// statusDRSecondary is what sys/health answers of a DR secondary.
const statusDRSecondary = 472

// listener describes a way into the node for the gate in front of everything.
func (n *Node) listener(l *configutil.Listener) rolechange.Listener {
	in := rolechange.Listener{Own: n.own(l)}
	if l == nil || l.Type == "" {
		// The cluster port.
		in.Passed = true
		return in
	}
	if l.Telemetry.UnauthenticatedMetricsAccess {
		in.Aside = append(in.Aside, "/v1/sys/metrics")
	}
	if l.Profiling.UnauthenticatedPProfAccess {
		in.Aside = append(in.Aside, "/v1/sys/pprof/")
	}
	if l.InFlightRequestLogging.UnauthenticatedInFlightAccess {
		in.Aside = append(in.Aside, "/v1/sys/in-flight-req")
	}
	return in
}
