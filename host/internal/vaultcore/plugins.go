// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/plugincatalog"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Unavailable says why a mount's plugin cannot run on this node, empty if nothing is
// known to be in its way. A core whose engines are inert has not tried.
func (c *Core) Unavailable(ctx context.Context, table string, e *vault.MountEntry) string {
	name := e.Type
	if e.Type == "plugin" {
		name = e.Config.PluginName
	}
	external := e.Type == "plugin" || e.IsExternalPlugin()
	catalog := *pinned.Field[*plugincatalog.PluginCatalog](c.Core, "pluginCatalog")
	if catalog == nil || !external {
		return ""
	}
	kind := consts.PluginTypeSecrets
	if table == vaultname.Auth || table == vaultname.LocalAuth {
		kind = consts.PluginTypeCredential
	}
	version := e.Version
	if pin, err := catalog.GetPinnedVersion(ctx, kind, name); err == nil && pin != nil {
		version = pin.Version
	}
	p, err := catalog.Get(ctx, name, kind, version)
	switch {
	case err != nil:
		return fmt.Sprintf("plugin %s cannot be looked up: %v", name, err)
	case p == nil:
		return fmt.Sprintf("plugin %s is not registered, or this node has no plugin_directory", name)
	case p.Builtin || p.OCIImage != "":
		return "" // whether a container starts is known when it does
	}
	sum, err := sumOfFile(p.Command)
	switch {
	case os.IsNotExist(err):
		return fmt.Sprintf("plugin %s is not installed: there is no file %s", name, p.Command)
	case err != nil:
		return fmt.Sprintf("plugin %s cannot be read: %v", name, err)
	case !bytes.Equal(sum, p.Sha256):
		return fmt.Sprintf("plugin %s is another program: the checksum of %s is not the registered one", name, p.Command)
	}
	return ""
}

func sumOfFile(name string) ([]byte, error) {
	f, err := os.Open(name) // a program that an operator has registered
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}
