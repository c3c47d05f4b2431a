// SPDX-License-Identifier: MPL-2.0

// Command vault-replication is the complete vault command with disaster-recovery
// and performance replication attached to its server.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/vault/command"

	"github.com/vault-replication/vault-replication/host/internal/config"
	"github.com/vault-replication/vault-replication/host/internal/node"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	cfg, err := config.FromArgs(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	attached := node.Attach(cfg)
	defer attached.Close()
	return command.Run(args)
}
