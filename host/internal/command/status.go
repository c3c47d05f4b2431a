// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// watchPause is between two looks of a live view.
const watchPause = time.Second

type statusCommand struct{ out, errs io.Writer }

func (c *statusCommand) Synopsis() string { return "Show all clusters that can be reached" }

func (c *statusCommand) Help() string {
	opts, _, _ := c.options()
	return opts.usage(`
Usage: vault-replication replication status [options]

  Shows both modes of the cluster at VAULT_ADDR and of all clusters that it has sessions with. No token is
  needed; with one that may read sys/replication/status the state of the slots is shown too.

  The exit code is 0 if all is well, 2 if something is not, 1 if nothing could be shown. With -watch it is that of
  the last look before it was interrupted.`)
}

func (c *statusCommand) options() (o *options, also *string, watch *bool) {
	o = newOptions("status", c.errs)
	also = o.String("also", "", "further API `addresses`, with commas between them, for clusters that no other one names")
	watch = o.Bool("watch", false, "show it anew each second, until it is interrupted")
	return o, also, watch
}

func (c *statusCommand) Run(args []string) int {
	opts, also, watch := c.options()
	if err := opts.parse(args); err != nil {
		return result(c.errs, err)
	}
	token, err := ownToken()
	if err != nil {
		return result(c.errs, err)
	}
	first, err := client("", token)
	if err != nil {
		return result(c.errs, err)
	}
	look := func() []*view.Cluster {
		return view.Look(context.Background(), connect(token),
			append([]string{first.Address()}, strings.Split(*also, ",")...)...)
	}
	if *watch {
		return c.watch(look, opts.format)
	}
	return c.show(look(), opts.format)
}

func (c *statusCommand) show(clusters []*view.Cluster, format string) int {
	if format == "json" {
		if code := writeJSON(c.out, map[string]any{"clusters": clusters, "problems": problems(clusters)}); code != exitOK {
			return code
		}
	} else {
		fmt.Fprint(c.out, render(clusters, time.Now()))
	}
	switch {
	case len(clusters) == 1 && clusters[0].Error != "":
		return exitError
	case len(problems(clusters)) > 0:
		return exitNotWell
	}
	return exitOK
}

// again puts the cursor of a terminal to its beginning and clears what follows.
const again = "\x1b[H\x1b[J"

// watch shows the clusters again and again until it is interrupted: in place on a terminal, one after the other
// elsewhere. It returns what the last look has found.
func (c *statusCommand) watch(look func() []*view.Cluster, format string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	file, ok := c.out.(*os.File)
	inPlace := format != "json" && ok && term.IsTerminal(int(file.Fd()))
	for {
		clusters := look()
		if inPlace {
			fmt.Fprint(c.out, again)
		}
		code := c.show(clusters, format)
		if inPlace {
			fmt.Fprintln(c.out, "Ctrl-C ends")
		}
		select {
		case <-ctx.Done():
			return code
		case <-time.After(watchPause):
		}
	}
}
