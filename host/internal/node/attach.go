// SPDX-License-Identifier: MPL-2.0

package node

import (
	"fmt"
	"net/http"
	"os"
	"sync"

	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/config"
	"github.com/vault-replication/vault-replication/host/internal/webui"
)

// Attachment is replication attached to the server command of this process.
type Attachment struct {
	stock vault.HandlerHandler
	cfg   *config.Config
	// withoutPage says that this binary was built without Vault's web page.
	withoutPage bool

	mu    sync.Mutex
	nodes map[*vault.Core]*Node
}

// Attach makes every core that the server command makes in this process one
// with replication. It is called once, before the command runs.
func Attach(cfg *config.Config) *Attachment {
	a := &Attachment{stock: vaulthttp.Handler, cfg: cfg, nodes: map[*vault.Core]*Node{}}
	page, complete := webui.Page()
	vaulthttp.SetReplicationUI(page)
	a.withoutPage = !complete
	vaulthttp.Handler = vaulthttp.HandlerFunc(a.handler)
	return a
}

// handler is called for the cluster port first, before any unseal, and then for
// each listener. In recovery mode, which has no barrier to speak of, Vault is
// left alone.
func (a *Attachment) handler(props *vault.HandlerProperties) http.Handler {
	next := a.stock.Handler(props)
	if props.RecoveryMode {
		return next
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok := a.nodes[props.Core]
	if !ok {
		var err error
		if n, err = New(props.Core, a.cfg); err != nil {
			// Without the seams the server would accept writes that no secondary gets.
			fmt.Fprintf(os.Stderr, "The server does not start: %v\n", err)
			os.Exit(1) //nolint:gocritic // nothing waits for the lock of a process that ends
		}
		a.nodes[props.Core] = n
		if a.withoutPage && props.Core.UIEnabled() {
			n.logger.Warn(webui.Missing)
		}
	}
	return n.Wrap(next, props)
}

// Close ends the background work beside the cores.
func (a *Attachment) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.nodes {
		n.Close()
	}
}
