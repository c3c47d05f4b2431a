// SPDX-License-Identifier: MPL-2.0

// Command vaultplain is stock Vault of the module versions that this project pins:
// HashiCorp's own command package and nothing else. Tests and benchmarks compare the
// product with it, so both sides have the same compiler and dependencies.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() { os.Exit(command.Run(os.Args[1:])) }
