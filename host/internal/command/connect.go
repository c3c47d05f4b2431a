// SPDX-License-Identifier: MPL-2.0

package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/cliconfig"

	"github.com/vault-replication/vault-replication/host/internal/command/roleswitch"
	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// Variables of the environment, for what should not stand in a list of processes.
const (
	// envToToken is a token of the cluster that becomes primary, where it is another one than VAULT_TOKEN.
	envToToken = "VAULT_TO_TOKEN"
	// envOperationToken is a DR operation token. A batch token is one on all clusters.
	envOperationToken = "VAULT_DR_OPERATION_TOKEN" //nolint:gosec // the name of a variable
	// envFromOperationToken is a DR operation token of the former primary, if it needs one of its own.
	envFromOperationToken = "VAULT_FROM_DR_OPERATION_TOKEN" //nolint:gosec // the name of a variable
)

// client connects to an address with the certificates of the environment. It never repeats a request by itself, because
// a change of role must not be repeated blindly.
func client(address, token string) (*api.Client, error) {
	cfg := api.DefaultConfig()
	if cfg.Error != nil {
		return nil, cfg.Error
	}
	if address != "" {
		cfg.Address = address
	}
	c, err := api.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	c.SetMaxRetries(0)
	c.SetToken(token)
	return c, nil
}

// ownToken is the token that Vault's own commands would use.
func ownToken() (string, error) {
	if token := os.Getenv(api.EnvVaultToken); token != "" {
		return token, nil
	}
	helper, err := cliconfig.DefaultTokenHelper()
	if err != nil {
		return "", err
	}
	return helper.Get()
}

// connect is for [view.Look].
func connect(token string) view.Connect {
	return func(address string, given bool) (*api.Client, error) {
		if !given {
			return client(address, "")
		}
		return client(address, token)
	}
}

// options are those that several commands have.
type options struct {
	*flag.FlagSet
	mode, format string
	limit        time.Duration
}

func newOptions(name string, errs io.Writer) *options {
	o := &options{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	o.SetOutput(errs)
	o.StringVar(&o.format, "format", "table", "the `form` of the output: table or json")
	return o
}

// switches adds the options of the commands that change a role or judge a change.
func (o *options) switches() {
	o.StringVar(&o.mode, "mode", view.DR, "the `mode` of replication: dr or performance")
	o.DurationVar(&o.limit, "timeout", 2*time.Minute, "how `long` to wait for each step")
}

// parse reads the arguments and checks what has few values.
func (o *options) parse(args []string) error {
	if err := o.Parse(args); err != nil {
		return err
	}
	switch {
	case o.NArg() > 0:
		return fmt.Errorf("%q is no option: options begin with a dash", o.Arg(0))
	case o.format != "table" && o.format != "json":
		return fmt.Errorf("-format is table or json, not %q", o.format)
	case o.mode != "" && o.mode != view.DR && o.mode != view.Performance:
		return fmt.Errorf("-mode is dr or performance, not %q", o.mode)
	}
	return nil
}

// usage is the text of a command and its options.
func (o *options) usage(text string) string {
	var b strings.Builder
	o.SetOutput(&b)
	o.PrintDefaults()
	return strings.TrimSpace(text) + "\n\nOptions:\n\n" + b.String()
}

// promoted is the side that becomes the primary.
func promoted(address, mode string) (roleswitch.Side, error) {
	token, err := ownToken()
	if err != nil {
		return roleswitch.Side{}, err
	}
	if other := os.Getenv(envToToken); other != "" {
		token = other
	}
	if address == "" {
		return roleswitch.Side{}, errors.New("-to is missing: give the API address of the secondary that is to be primary")
	}
	c, err := client(address, token)
	if err != nil {
		return roleswitch.Side{}, err
	}
	side := roleswitch.Side{Client: c}
	if mode == view.DR {
		if side.OperationToken = os.Getenv(envOperationToken); side.OperationToken == "" {
			return side, errors.New(envOperationToken + " is not set: a DR secondary is promoted with a DR operation token, " +
				"which is a batch token made on the primary or one made from key shares")
		}
	}
	return side, nil
}
