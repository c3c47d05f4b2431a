// SPDX-License-Identifier: MPL-2.0

package node

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/physical/etcd"
	"github.com/hashicorp/vault/physical/manta"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/physical/s3"
	"github.com/hashicorp/vault/physical/zookeeper"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/host/internal/api/consistency"
	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/api/gate"
	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
	"github.com/vault-replication/vault-replication/host/internal/api/rolechange"
	"github.com/vault-replication/vault-replication/host/internal/api/unsealing"
	"github.com/vault-replication/vault-replication/host/internal/catalog"
	"github.com/vault-replication/vault-replication/host/internal/cluster"
	"github.com/vault-replication/vault-replication/host/internal/config"
	"github.com/vault-replication/vault-replication/host/internal/role"
	"github.com/vault-replication/vault-replication/host/internal/services"
	"github.com/vault-replication/vault-replication/host/internal/serving"
	"github.com/vault-replication/vault-replication/host/internal/telemetry"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Node is a Vault core with replication.
type Node struct {
	core       *vaultcore.Core
	controller *role.Controller
	plugins    *plugins
	serving    *serving.Server
	states     consistency.Node
	unsealing  *unsealing.Watch
	tokens     *operationtoken.Verifier
	collector  http.Handler
	// withoutCore serves the requests that a cluster without tokens allows.
	withoutCore http.Handler
	itself      *itself
	requests    *rolechange.Gate
	endMetrics  context.CancelFunc
	logger      hclog.Logger
}

// New attaches replication to a core. It must run before the core is unsealed.
func New(core *vault.Core, cfg *config.Config) (*Node, error) {
	logger := core.Logger().Named("replication")
	core.AddLogger(logger)
	c, err := vaultcore.Attach(core)
	if err != nil {
		return nil, err
	}
	var tap *storage.Tap
	c.InstallStorage(func(inner physical.Backend) physical.Backend {
		steps := onestep.Over(inner, isFiles(c.UnderlyingStorage()))
		tap = storage.New(steps, storageOptions(c, cfg, logger.Named("storage")))
		return tap.Backend()
	})
	if err := adoptClusterAddr(c, cfg.ClusterAddr); err != nil {
		return nil, err
	}
	port := clusterPort(core, c, cfg, logger)
	entries, err := catalog.New(catalog.Config{Dir: cfg.PluginDirectory, Store: entryStore{c}, BuiltinVersion: Version})
	if err != nil {
		return nil, err
	}
	n := &Node{core: c, logger: logger, tokens: operationtoken.NewVerifier(tokenStore{c},
		batchTokens{c})}
	collector := operationtoken.NewCollector(shares{c}, n.tokens, logger)
	n.collector = operationtoken.Handler(collector)
	n.controller, err = role.New(role.Options{
		Core: c, Tap: tap, Store: tap.Inner(), Port: port, Logger: logger,
		OnlyGiven: !cfg.ResolverDiscoverServers,
		// Collected shares must not outlive the active duty.
		OnInactive: func() { collector.Cancel() },
		Plugins: func(rc *role.Controller) (_ role.Plugins, err error) {
			rooms, seen := rc.Rooms(), rc.ForPlugins()
			n.plugins, err = newPlugins(entries, seen.Started, services.Options{
				Roles: seen, Sessions: seen, Content: seen, Core: c, Tap: tap, Store: tap.Inner(), Port: port,
				Paired: rooms.Paired, Relations: rooms.Relations, Ring: rooms.Ring,
				Receive: func(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
					return n.serving.Receive(ctx, req)
				},
			}, logger)
			return n.plugins, err
		},
		Requests: func(rc *role.Controller) role.Requests {
			n.itself = &itself{core: c, controller: rc, plugins: n.plugins, tap: tap}
			n.requests = rolechange.New(n.itself, rolechange.Limits{})
			return n.requests
		},
		Serving: func(rc *role.Controller) role.Serving {
			rooms := rc.Rooms()
			n.serving = serving.New(serving.Options{
				Core: c, Tap: tap, Set: rc.Set(), Mounts: rooms.Mounts, Filters: rooms.Filters, Hiding: rooms.Hiding,
				Requests: n.requests, BestEffortWait: cfg.BestEffortWALWaitDuration,
				Metrics: core.MetricSink(), Logger: logger,
			})
			return n.serving
		},
	})
	if err != nil {
		return nil, err
	}
	n.addEndpoints()
	n.states = telemetry.MeasureWaits(n.controller.Consistency(cfg.BestEffortWALWaitDuration), core.MetricSink())
	vault.SetReplicationLastWAL(core, n.controller.LastWAL)
	n.unsealing = unsealing.New(func() int {
		given, _ := core.SecretProgress(true)
		return given
	}, logger)
	n.emitMetrics(core)
	return n, nil
}

// addEndpoints puts the endpoints of replication into the system backend, and prepares those that are served without
// it.
func (n *Node) addEndpoints() {
	asked := endpoints.Options{
		Controller: n.controller, Primary: n.controller.Primary(), Secondary: n.controller.Secondary(),
		Filters: n.controller.Rooms().Filters, Kept: n.controller.Kept(), Tokens: n.tokens,
		Catalog: n.plugins, MayRead: n.core.MayRead, Behind: n.itself.behind,
		APIAddr:     n.core.RedirectAddr,
		Activations: &activation.Client{Logger: n.logger.Named("activation")},
	}
	n.withoutCore = endpoints.WithoutCore(asked)
	n.core.OnCoreBackend(vaultname.System, func(b *framework.Backend) error {
		if err := endpoints.Decorate(b, asked); err != nil {
			return err
		}
		return n.serving.Decorate(b, vaultname.System)
	})
}

// emitMetrics begins with the gauges of replication, until the node is closed.
func (n *Node) emitMetrics(core *vault.Core) {
	ctx, end := context.WithCancel(context.Background())
	n.endMetrics = end
	go func() {
		tick := time.NewTicker(telemetry.Pace)
		defer tick.Stop()
		telemetry.Run(ctx, n.itself, core.MetricSink(), tick.C)
	}()
}

// adoptClusterAddr gives a core the configured cluster address if its storage elects no leader. Vault would advertise
// the API port plus one there. As in Vault, the environment wins, and an empty address means that clustering is
// disabled.
func adoptClusterAddr(c *vaultcore.Core, addr string) error {
	if addr == "" || c.HasHA() || c.ClusterAddr() == "" || os.Getenv("VAULT_CLUSTER_ADDR") != "" {
		return nil
	}
	rendered, err := configutil.ParseSingleIPTemplate(addr)
	if err != nil {
		return fmt.Errorf("the cluster_addr %q of the configuration cannot be used: %w", addr, err)
	}
	c.SetClusterAddr(configutil.NormalizeAddr(rendered))
	return nil
}

// storageOptions sets the tap up for the storage of this core.
func storageOptions(c *vaultcore.Core, cfg *config.Config, logger hclog.Logger) storage.Options {
	return storage.Options{
		Logger:     logger,
		Limits:     limitsOf(c.UnderlyingStorage()),
		ApplyBytes: applyBytesOf(c.UnderlyingStorage()),
		Room:       roomIn(c.RaftFolder()),
		RingBytes:  int(cfg.BufferSize),
		RingRows:   int(cfg.BufferLength),
		Caps:       retention.Caps{Bytes: cfg.SlotMaxRetained, Age: cfg.SlotMaxAge},
		PathKeys:   joinsPaths(c.UnderlyingStorage()),
		AnyPrefix:  listsAnyPrefix(c.UnderlyingStorage()),
		Fenced:     fences(c.UnderlyingStorage()),
		Alone:      role.AppliedAlone,
	}
}

// clusterPort is the port of the cluster listener that replication shares with Vault.
func clusterPort(core *vault.Core, c *vaultcore.Core, cfg *config.Config, logger hclog.Logger) *cluster.Port {
	// The logger has the name of Vault's own network logger, so that an operator's log level applies to it.
	network := core.Logger().Named("cluster-listener").Named("tcp")
	core.AddLogger(network)
	c.SetClusterNetwork(cluster.NewBorder(c.ClusterListenerAddrs, clusterListener(c), network))
	return cluster.New(c.ClusterListener, cluster.TLSPolicy{MinVersion: cfg.TLSMinVersion,
		CipherSuites: cfg.TLSCipherSuites}, logger.Named("cluster"))
}

// clusterListener is Vault's cluster listener with what the border needs of it.
func clusterListener(c *vaultcore.Core) func() cluster.Listener {
	return func() cluster.Listener {
		l, connections := c.ClusterListenerConnections()
		return cluster.Listener{Listener: l, Connections: connections}
	}
}

// joinsPaths says whether the storage takes keys for paths, so that several are one.
func joinsPaths(store physical.Backend) bool {
	switch store.(type) {
	case *file.FileBackend, *etcd.EtcdBackend, *s3.S3Backend, *zookeeper.ZooKeeperBackend, *manta.MantaBackend:
		return true
	default:
		return false
	}
}

// isFiles says whether cut writes leave files in the storage.
func isFiles(store physical.Backend) bool {
	_, ok := store.(*file.FileBackend)
	return ok
}

// listsAnyPrefix says whether the storage lists by any prefix. Raft's does, because its keys are in order. Others list
// directories alone. A test checks that raft still does.
func listsAnyPrefix(store physical.Backend) bool {
	_, ok := store.(*raft.RaftBackend)
	return ok
}

// fences says whether the storage keeps a deposed leader from writing. Raft does by its term, and some storage checks
// the lock with each write. Others, such as CockroachDB and Spanner, have transactions and a lock that only times out.
func fences(store physical.Backend) bool {
	if _, ok := store.(*raft.RaftBackend); ok {
		return true
	}
	_, ok := store.(physical.FencingHABackend)
	return ok
}

// limitsOf reads the limits of transactions from the storage itself: the layers
// above it do not pass them on.
func limitsOf(store physical.Backend) func() (int, int) {
	l, ok := store.(physical.TransactionalLimits)
	if !ok {
		return func() (int, int) { return 0, 0 }
	}
	return l.TransactionLimits
}

// raftApplyBytes is an eighth below 512 KiB, the size from which Vault's raft cuts a log entry into pieces. That is
// half of the largest entry that raft accepts, unless max_entry_size is set lower.
const raftApplyBytes = 448 << 10

// applyBytesOf says how large transactions of applied writes may be. Raft's own limit is for batches of a core that
// serves clients. A secondary's transactions wait for each other, so it catches up sooner with larger ones. An
// operator's limit is kept.
func applyBytesOf(store physical.Backend) int {
	if _, ok := store.(*raft.RaftBackend); !ok || os.Getenv(raft.EnvVaultRaftMaxBatchSizeBytes) != "" {
		return 0
	}
	return raftApplyBytes
}

// Wrap puts the gates in front of Vault's handler for one listener, or for the
// cluster port.
func (n *Node) Wrap(next http.Handler, props *vault.HandlerProperties) http.Handler {
	o := gate.Options{Node: n.controller, Tokens: n.tokens, OperationTokens: n.collector, Operator: n.withoutCore,
		Snapshot: snapshots(n.core), Logger: n.logger}
	n.serving.Listens(props.ListenerConfig)
	if l := props.ListenerConfig; l != nil {
		o.UnauthenticatedMetrics = l.Telemetry.UnauthenticatedMetricsAccess
		o.UnauthenticatedProfiling = l.Profiling.UnauthenticatedPProfAccess
		o.UnauthenticatedInFlight = l.InFlightRequestLogging.UnauthenticatedInFlightAccess
	}
	next = n.unsealing.Wrap(consistency.Wrap(n.serving.Wrap(next), n.states))
	return n.requests.Wrap(gate.Wrap(next, o), n.listener(props.ListenerConfig))
}

// Close ends the plugins' processes and the background work beside the core.
func (n *Node) Close() {
	n.endMetrics()
	vault.SetReplicationLastWAL(n.core.Core, nil)
	n.plugins.close()
	n.controller.Close()
}
