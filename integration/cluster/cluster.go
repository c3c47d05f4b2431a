// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/testcluster"

	"github.com/vault-replication/vault-replication/integration/cable"
)

// startAttempts is how often ports are chosen anew when somebody took one between the
// choice and the server's start.
const startAttempts = 3

// Cluster is a running Vault cluster. Its methods may be called concurrently
// unless they start or end servers.
type Cluster struct {
	opts  Options
	id    string
	nodes []*Node
	mesh  *cable.Mesh // nil without Partitions
	// leaving is the seal that a migration ends.
	leaving *TransitSeal

	mu           sync.Mutex
	rootToken    string
	barrierKeys  [][]byte
	recoveryKeys [][]byte
	pids         []int // of the nodes' servers, by their last start
}

var _ testcluster.VaultCluster = (*Cluster)(nil)

// Start starts the servers, initialises and unseals them (unless SkipInit) and
// waits until each is active or standby. On an error everything is gone again.
func Start(ctx context.Context, opts Options) (c *Cluster, err error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	if opts.Dir == "" {
		if opts.Dir, err = os.MkdirTemp("", "vault-"+opts.Name+"-"); err != nil {
			return nil, err
		}
	} else {
		// Another cluster gets this storage by its folder, so it must stay.
		opts.KeepDir = true
	}
	if opts.CA == nil && !opts.DisableTLS {
		if opts.CA, err = NewCA(opts.Dir); err != nil {
			return nil, err
		}
	}
	c = &Cluster{opts: opts, id: opts.Name}
	if err := c.run(ctx); err != nil {
		c.Cleanup()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) run(ctx context.Context) error {
	if c.opts.Partitions {
		if err := c.weave(); err != nil {
			return err
		}
	}
	for i := range c.opts.Nodes {
		if err := c.add(ctx, i); err != nil {
			return err
		}
	}
	if c.opts.SkipInit {
		return nil
	}
	return c.bootstrap(ctx)
}

func (c *Cluster) add(ctx context.Context, index int) error {
	n := &Node{cluster: c, index: index}
	n.dir = filepath.Join(c.opts.Dir, n.Name())
	c.nodes = append(c.nodes, n)
	var err error
	for range startAttempts {
		if err = n.choosePorts(); err != nil {
			return err
		}
		if err = n.prepare(); err != nil {
			return err
		}
		if err = n.Start(ctx); err == nil || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
	}
	return err
}

func (n *Node) choosePorts() (err error) {
	n.releasePorts()
	if n.apiPort, err = ReservePort(); err != nil {
		return err
	}
	n.clusterPort, err = ReservePort()
	return err
}

func (n *Node) releasePorts() {
	ReleasePort(n.apiPort)
	ReleasePort(n.clusterPort)
}

// Node returns a node by its number.
func (c *Cluster) Node(i int) *Node { return c.nodes[i] }

// Options are those the cluster was started with, completed.
func (c *Cluster) Options() Options { return c.opts }

// Restart ends the servers with a signal each (gracefully or by kill -9), starts
// them again and, with a Shamir seal, unseals them with the cluster's keys.
func (c *Cluster) Restart(ctx context.Context, graceful bool) error {
	if err := c.Stop(ctx, graceful); err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := n.Start(ctx); err != nil {
			return err
		}
	}
	return c.Unseal(ctx)
}

// Stop ends the servers and leaves their storage.
func (c *Cluster) Stop(ctx context.Context, graceful bool) error {
	for _, n := range c.nodes {
		end := n.Kill
		if graceful {
			end = n.Terminate
		}
		if err := end(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Use makes later starts run another server binary on the same storage.
func (c *Cluster) Use(binary string) { c.opts.Binary = binary }

// Cleanup kills what runs and removes the cluster's folder. It may be called
// more than once.
func (c *Cluster) Cleanup() {
	for _, n := range c.nodes {
		if n.process != nil {
			n.process.destroy()
		}
		n.releasePorts()
		if n.client != nil {
			n.client.CloneConfig().HttpClient.CloseIdleConnections()
		}
		if n.tmp != "" {
			_ = os.RemoveAll(n.tmp) // a leftover folder is no reason to fail
		}
	}
	if c.mesh != nil {
		c.mesh.Close()
	}
	if !c.opts.KeepDir {
		_ = os.RemoveAll(c.opts.Dir)
	}
}

// Logs is the end of each node's log, for a failure message.
func (c *Cluster) Logs() string {
	var b strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&b, "--- %s\n%s\n", n.LogFile(), tail(n.LogFile()))
	}
	return b.String()
}

// NamedLogger is for the helpers of testcluster.
func (c *Cluster) NamedLogger(name string) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: c.opts.Name + "." + name, Level: hclog.Warn})
}

// within gives a step of a start or restart a limit if the caller set none.
func within(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, unsealLimit)
}

var errNotInitialised = errors.New("the cluster is not initialised")
