// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
)

// requestTimeout bounds each request of a client.
const requestTimeout = 60 * time.Second

// Node is one server of a cluster.
type Node struct {
	cluster              *Cluster
	index                int
	apiPort, clusterPort int
	dir                  string
	tmp                  string // short: the path of a socket has at most 107 bytes
	client               *api.Client
	process              *process
	frozen               bool
	cutOff               bool // from its peers
}

var _ testcluster.VaultClusterNode = (*Node)(nil)

// Name is the raft node id and the name of the node's folder.
func (n *Node) Name() string { return fmt.Sprintf("%s-%d", n.cluster.opts.Name, n.index) }

// Address is the API address.
func (n *Node) Address() string {
	if n.cluster.opts.DisableTLS {
		return fmt.Sprintf("http://127.0.0.1:%d", n.apiPort)
	}
	return fmt.Sprintf("https://127.0.0.1:%d", n.apiPort)
}

// ClusterAddress is the address of the cluster port.
func (n *Node) ClusterAddress() string { return fmt.Sprintf("https://127.0.0.1:%d", n.clusterPort) }

// LogFile is the file of the server's output, over all its starts.
func (n *Node) LogFile() string { return n.path("server.log") }

// DataDir is the folder of the storage.
func (n *Node) DataDir() string { return n.path("data") }

// PID is that of the running server, 0 when it is not running.
func (n *Node) PID() int {
	if n.process == nil {
		return 0
	}
	return n.process.cmd.Process.Pid
}

func (n *Node) path(name string) string { return filepath.Join(n.dir, name) }

// APIClient returns a client with the cluster's root token.
func (n *Node) APIClient() *api.Client {
	client := n.Anonymous()
	client.SetToken(n.cluster.GetRootToken())
	return client
}

// Anonymous returns a client without a token. Its transport is shared by all
// clients of the node, so that a test does not open connections without end.
func (n *Node) Anonymous() *api.Client {
	client, err := n.client.Clone()
	if err != nil {
		// Clone fails only if the configuration that built n.client is invalid.
		panic(fmt.Sprintf("cluster: cloning the client of %s: %v", n.Name(), err))
	}
	client.ClearToken()
	return client
}

// TLSConfig is the client side's.
func (n *Node) TLSConfig() *tls.Config { return n.client.CloneConfig().TLSConfig() }

func (n *Node) newClient() error {
	config := api.DefaultConfig()
	if config.Error != nil {
		return config.Error
	}
	config.Address = n.Address()
	config.Timeout = requestTimeout
	// Tests assert on the first answer; waiting is done by conditions.
	config.MaxRetries = 0
	if !n.cluster.opts.DisableTLS {
		if err := config.ConfigureTLS(&api.TLSConfig{CACert: n.cluster.opts.CA.File}); err != nil {
			return err
		}
	}
	if transport, ok := config.HttpClient.Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = 64
	}
	client, err := api.NewClient(config)
	if err != nil {
		return err
	}
	client.ClearToken()
	client.ClearNamespace()
	n.client = client
	return nil
}

// prepare writes the node's files for its present ports.
func (n *Node) prepare() error {
	if err := os.MkdirAll(n.DataDir(), 0o700); err != nil {
		return err
	}
	if n.tmp == "" {
		var err error
		if n.tmp, err = os.MkdirTemp("", "v"); err != nil {
			return err
		}
	}
	if !n.cluster.opts.DisableTLS {
		if err := n.cluster.opts.CA.Issue(n.path("api.pem"), n.path("api.key")); err != nil {
			return err
		}
	}
	if err := n.newClient(); err != nil {
		return err
	}
	return n.writeConfig()
}

// Start starts the server and waits until its API answers, sealed or not.
func (n *Node) Start(ctx context.Context) error {
	if n.process != nil && !n.process.exited() {
		return fmt.Errorf("%s is running already", n.Name())
	}
	o := n.cluster.opts
	// A server that is killed leaves the sockets of its plugins there.
	env := append([]string{"TMPDIR=" + n.tmp}, o.Env...)
	p, err := startProcess(n.LogFile(), env, o.Binary, "server", "-config="+n.path("vault.hcl"))
	if err != nil {
		return err
	}
	n.process = p
	n.cluster.started(n.index, n.PID())
	return Wait(ctx, n.Name()+" answers on its API port", func(ctx context.Context) error {
		if p.exited() {
			return Final(fmt.Errorf("the server ended (%w): %s", p.result(), tail(n.LogFile())))
		}
		_, err := n.Anonymous().Sys().SealStatusWithContext(ctx)
		return err
	})
}

// Terminate sends SIGTERM and waits for the server's end.
func (n *Node) Terminate(ctx context.Context) error { return n.end(ctx, syscall.SIGTERM) }

// Kill is kill -9 of the server alone. Plugins have to notice by themselves.
func (n *Node) Kill(ctx context.Context) error { return n.end(ctx, os.Kill) }

func (n *Node) end(ctx context.Context, sig os.Signal) error {
	if n.process == nil {
		return errors.New(n.Name() + " was never started")
	}
	return n.process.end(ctx, sig)
}

// Ended says that the server was started and no longer runs.
func (n *Node) Ended() bool { return n.process != nil && n.process.exited() }
