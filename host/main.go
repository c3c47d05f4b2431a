// SPDX-License-Identifier: MPL-2.0

// Command vault-replication is the complete vault command with disaster-recovery
// and performance replication attached to its server, and one subcommand more,
// replication, for those who operate it.
package main

import (
	"fmt"
	"os"

	vault "github.com/hashicorp/vault/command"

	"github.com/vault-replication/vault-replication/host/internal/command"
	"github.com/vault-replication/vault-replication/host/internal/config"
	"github.com/vault-replication/vault-replication/host/internal/node"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) > 0 && args[0] == command.Name {
		return command.Run(args[1:], os.Stdout, os.Stderr)
	}
	cfg, err := config.FromArgs(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	attached := node.Attach(cfg)
	defer attached.Close()
	return vault.Run(args)
}
