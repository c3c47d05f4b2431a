// SPDX-License-Identifier: MPL-2.0

package command

import (
	"fmt"
	"io"

	"github.com/hashicorp/cli"
)

// Name is the subcommand.
const Name = "replication"

// What a command returns to the shell.
const (
	exitOK = 0
	// exitError: wrong arguments, or a step failed.
	exitError = 1
	// exitNotWell: status saw something that is not well, or a promotion is not safe.
	exitNotWell = 2
)

// Run carries out what stands behind "replication" on the command line, and returns the exit code.
func Run(args []string, out, errs io.Writer) int {
	c := &cli.CLI{
		Name: "vault-replication " + Name, Args: args, HelpWriter: out, ErrorWriter: errs, HelpFunc: help,
		Commands: map[string]cli.CommandFactory{
			"status":     func() (cli.Command, error) { return &statusCommand{out: out, errs: errs}, nil },
			"plan":       func() (cli.Command, error) { return &planCommand{out: out, errs: errs}, nil },
			"switchover": func() (cli.Command, error) { return &switchoverCommand{out: out, errs: errs}, nil },
			"failover":   func() (cli.Command, error) { return &failoverCommand{out: out, errs: errs}, nil },
		},
	}
	for what := range keptSynopses {
		c.Commands["kept "+what] = func() (cli.Command, error) {
			return &keptCommand{what: what, out: out, errs: errs}, nil
		}
	}
	code, err := c.Run()
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitError
	}
	return code
}

func help(commands map[string]cli.CommandFactory) string {
	return cli.BasicHelpFunc("vault-replication "+Name)(commands) + `
  Addresses, tokens and certificates are given as for Vault's own commands:
  VAULT_ADDR, VAULT_TOKEN, VAULT_CACERT and so on.`
}
