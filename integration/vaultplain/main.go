// SPDX-License-Identifier: MPL-2.0

// Command vaultplain is stock Vault of the module versions that this project
// pins: nothing but HashiCorp's own command package. Tests and benchmarks compare
// the product with it, so that both sides are of one compiler and one set of
// dependencies.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() { os.Exit(command.Run(os.Args[1:])) }
