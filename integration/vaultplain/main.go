// SPDX-License-Identifier: MPL-2.0

// Command vaultplain is stock Vault of the module versions that this project pins:
// HashiCorp's own command package and nothing else. Tests and benchmarks compare the
// product with it, so both sides have the same compiler and dependencies.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
	_ "github.com/hashicorp/vault/run_make_prepare_first" // says what to do where the copy of Vault is missing
)

func main() { os.Exit(command.Run(os.Args[1:])) }
