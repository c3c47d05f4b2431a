// SPDX-License-Identifier: MPL-2.0

// Command externalplugin is a secrets engine and an auth method in one program,
// as somebody outside of this project might write them: the tests run them in
// processes of their own, over Vault's plugin protocol.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

func main() {
	if err := run(); err != nil {
		hclog.New(&hclog.LoggerOptions{}).Error("the plugin ends", "error", err)
		os.Exit(1)
	}
}

// endWithServer ends the plugin when the server is gone that has started it. A server that
// is killed leaves its plugins running.
func endWithServer() {
	server := os.Getppid()
	for range time.Tick(time.Second) {
		if os.Getppid() != server {
			os.Exit(0)
		}
	}
}

func run() error {
	go endWithServer()
	kind := ""
	meta := &api.PluginAPIClientMeta{}
	flags := meta.FlagSet()
	flags.StringVar(&kind, "type", "", "what to serve: secret or auth")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	var factory logical.Factory
	switch kind {
	case "secret":
		factory = newSecrets
	case "auth":
		factory = newAuth
	default:
		return fmt.Errorf("-type is %q; it must be secret or auth", kind)
	}
	return plugin.ServeMultiplex(&plugin.ServeOpts{
		BackendFactoryFunc: factory,
		TLSProviderFunc:    api.VaultPluginTLSProvider(meta.GetTLSConfig()),
	})
}
