// SPDX-License-Identifier: MPL-2.0

package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/host/internal/command/roleswitch"
	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// reporter prints each step when it begins, as a line of text or of JSON.
func reporter(out io.Writer, format string) func(roleswitch.Step) {
	return func(s roleswitch.Step) {
		if format == "json" {
			_ = json.NewEncoder(out).Encode(s)
			return
		}
		fmt.Fprintf(out, "%-8s %s: %s\n", s.Name, s.Cluster, s.Text)
		for _, command := range s.Commands {
			fmt.Fprintf(out, "         %s\n", command)
		}
	}
}

// result tells an error and is the exit code of a command.
func result(errs io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(errs, err)
	if unsafe := (*roleswitch.Unsafe)(nil); errors.As(err, &unsafe) {
		return exitNotWell
	}
	return exitError
}

type planCommand struct{ out, errs io.Writer }

func (c *planCommand) Synopsis() string { return "Say what a promotion now would lose" }

func (c *planCommand) options() (o *options, to, from *string) {
	o = newOptions("plan", c.errs)
	o.switches()
	to = o.String("to", "", "API `address` of the secondary that would be promoted; VAULT_ADDR by default")
	from = o.String("from", "", "API `address` of its primary; by default the one that the secondary names")
	return o, to, from
}

func (c *planCommand) Help() string {
	opts, _, _ := c.options()
	return opts.usage(`
Usage: vault-replication replication plan [options]

  Says whether a promotion of a secondary would be safe at this moment, and what it would lose. It changes
  nothing and needs no token. It names the mounts too with a token of the primary in VAULT_TOKEN that may read the
  status of replication and sys/mounts. The primary gets it alone, and only at the address of -from or VAULT_ADDR.

  It says what a former primary has of its own, which is refused or kept when that is to follow. How much a demoted
  cluster has, and what it keeps, it tells to a token with sudo on sys/replication/kept/list. A DR secondary wants
  VAULT_DR_OPERATION_TOKEN (VAULT_FROM_DR_OPERATION_TOKEN for the cluster of -from if it needs another one).

  The exit code is 0 if it is safe, 2 if it is not or cannot be judged, 1 if an argument is wrong.`)
}

func (c *planCommand) Run(args []string) int {
	opts, to, from := c.options()
	if err := opts.parse(args); err != nil {
		return result(c.errs, err)
	}
	secondary, err := client(*to, "")
	if err != nil {
		return result(c.errs, err)
	}
	ctx := context.Background()
	is := view.Ask(ctx, secondary)
	was, given := primary(ctx, opts.mode, *from, is)
	plan := roleswitch.MakePlan(opts.mode, is, was, time.Now())
	secondary.SetToken(os.Getenv(envToToken))
	plan.Holds(is, is.Holdings(ctx, secondary, os.Getenv(envOperationToken)))
	if given != nil {
		plan.Holds(was, was.Holdings(ctx, given, cmp.Or(os.Getenv(envFromOperationToken), os.Getenv(envOperationToken))))
	}
	if opts.format == "json" {
		writeJSON(c.out, plan)
	} else {
		fmt.Fprint(c.out, plan.String())
	}
	if !plan.Safe {
		return exitNotWell
	}
	return exitOK
}

// primary asks the primary of a secondary: the one that is given, or the one that it names.
// It gets a token only where the caller has given its address, with -from or VAULT_ADDR; then there is a client
// for more questions.
func primary(ctx context.Context, mode, given string, secondary *view.Cluster) (*view.Cluster, *api.Client) {
	address := given
	for _, p := range secondary.Of(mode).Primaries {
		address = cmp.Or(address, p.APIAddress)
	}
	if address == "" {
		return nil, nil
	}
	own := strings.TrimRight(address, "/") == strings.TrimRight(cmp.Or(given, os.Getenv(api.EnvVaultAddress)), "/")
	token := ""
	if own {
		token, _ = ownToken() // without a token it says less
	}
	c, err := client(address, token)
	if err != nil {
		return &view.Cluster{Address: address, Error: err.Error()}, nil
	}
	if !own {
		return view.Ask(ctx, c), nil
	}
	return view.Ask(ctx, c), c
}

type switchoverCommand struct{ out, errs io.Writer }

func (c *switchoverCommand) Synopsis() string { return "Change primary and secondary, both alive" }

type switchoverOptions struct {
	*options
	from, to, id, caFile, apiAddr string
	keep                          bool
}

func (c *switchoverCommand) options() *switchoverOptions {
	o := &switchoverOptions{options: newOptions("switchover", c.errs)}
	o.switches()
	o.StringVar(&o.from, "from", "", "API `address` of the primary; VAULT_ADDR by default")
	o.StringVar(&o.to, "to", "", "API `address` of the secondary that is to be primary")
	o.StringVar(&o.id, "rejoin-id", "", "`id` under which the former primary follows; a free one by default")
	o.StringVar(&o.caFile, "rejoin-ca-file", "", "`file` on the former primary's node with the CA of the new primary's "+
		"API")
	o.StringVar(&o.apiAddr, "rejoin-api-addr", "", "API `address` of the new primary as the former one reaches it; its "+
		"api_addr by default")
	o.BoolVar(&o.keep, "rejoin-keep-own-writes", false, "have the former primary keep what it has written and the new "+
		"one does not have; without it such a cluster is refused")
	return o
}

func (c *switchoverCommand) Help() string {
	return c.options().usage(`
Usage: vault-replication replication switchover -to=ADDRESS [options]

  Makes a secondary the primary, and lets the primary follow it: checks that the secondary streams, demotes the
  primary, waits until the secondary has everything, promotes it, and connects the former primary to it. No
  acknowledged write is lost. Nobody can write from the demotion to the end of the promotion.

  If it is cut, run it again with the same options: it goes on from where the clusters are.

  In DR mode VAULT_TOKEN is one of the primary, and VAULT_DR_OPERATION_TOKEN a batch token whose policy allows
  promote and update-primary (VAULT_FROM_DR_OPERATION_TOKEN if the former primary needs another one). In
  performance mode each cluster has tokens of its own: VAULT_TOKEN for the primary, VAULT_TO_TOKEN for the other.

  The exit code is 0 if the switch is complete, 2 if it was not begun because it is not safe, 1 otherwise.`)
}

func (c *switchoverCommand) Run(args []string) int {
	o := c.options()
	if err := o.parse(args); err != nil {
		return result(c.errs, err)
	}
	s, err := o.sides()
	if err != nil {
		return result(c.errs, err)
	}
	s.Report = reporter(c.out, o.format)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := s.Run(ctx); err != nil {
		return result(c.errs, err)
	}
	reporter(c.out, o.format)(roleswitch.Step{Name: "done", Cluster: s.To.Client.Address(),
		Text: "it is the primary, and " +
			s.From.Client.Address() + " follows it"})
	return exitOK
}

// sides are the two clusters with their tokens.
func (o *switchoverOptions) sides() (*roleswitch.Switchover, error) {
	to, err := promoted(o.to, o.mode)
	if err != nil {
		return nil, err
	}
	token, err := ownToken()
	if err != nil {
		return nil, err
	}
	from, err := client(o.from, token)
	if err != nil {
		return nil, err
	}
	rejoin := map[string]any{}
	if o.caFile != "" {
		rejoin["ca_file"] = o.caFile
	}
	if o.apiAddr != "" {
		rejoin["primary_api_addr"] = o.apiAddr
	}
	if o.keep {
		rejoin["keep_own_writes"] = true
	}
	return &roleswitch.Switchover{
		Mode: o.mode, To: to, RejoinID: o.id, Rejoin: rejoin, Limit: o.limit,
		From: roleswitch.Side{Client: from, OperationToken: cmp.Or(os.Getenv(envFromOperationToken), to.OperationToken)},
	}, nil
}

type failoverCommand struct{ out, errs io.Writer }

func (c *failoverCommand) Synopsis() string { return "Make a secondary primary without the old one" }

func (c *failoverCommand) options() (o *options, to, from *string, force *bool) {
	o = newOptions("failover", c.errs)
	o.switches()
	to = o.String("to", "", "API `address` of the secondary that is to be primary")
	from = o.String("from", "", "API `address` of its dead primary; by default the one that the secondary names")
	force = o.Bool("force", false, "promote though something is lost, or though two clusters may be primary then")
	return o, to, from, force
}

func (c *failoverCommand) Help() string {
	opts, _, _, _ := c.options()
	return opts.usage(`
Usage: vault-replication replication failover -to=ADDRESS [options]

  Promotes a secondary whose primary is gone. It refuses if the primary answers, or if the secondary is not
  consistent: see the command plan. At its end it has the commands for the old primary when that comes back.

  In DR mode VAULT_DR_OPERATION_TOKEN permits it, in performance mode VAULT_TO_TOKEN or VAULT_TOKEN.

  The exit code is 0 if it is the primary, 2 if it was not begun because it is not safe, 1 otherwise.`)
}

func (c *failoverCommand) Run(args []string) int {
	opts, to, from, force := c.options()
	if err := opts.parse(args); err != nil {
		return result(c.errs, err)
	}
	side, err := promoted(*to, opts.mode)
	if err != nil {
		return result(c.errs, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	f := &roleswitch.Failover{
		Mode: opts.mode, To: side, Force: *force, Limit: opts.limit, Report: reporter(c.out, opts.format),
	}
	f.Primary, _ = primary(ctx, opts.mode, *from, view.Ask(ctx, side.Client))
	return result(c.errs, f.Run(ctx))
}
