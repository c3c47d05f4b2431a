// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/host/internal/command/roleswitch"
	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// keptCommand lists, reads or removes what a former primary keeps.
type keptCommand struct {
	what      string
	out, errs io.Writer
}

// keptSynopses are the commands below "kept".
var keptSynopses = map[string]string{
	"list":   "List what was kept of a former primary's own writes",
	"read":   "Show kept values",
	"remove": "Remove kept values",
}

func (c *keptCommand) Synopsis() string { return keptSynopses[c.what] }

func (c *keptCommand) options() (o *options, id *string) {
	o = newOptions("kept "+c.what, c.errs)
	id = new(string)
	if c.what != "list" {
		o.StringVar(id, "id", "", "`id` of the kept values, from the list")
	}
	return o, id
}

func (c *keptCommand) Help() string {
	opts, _ := c.options()
	needs := ""
	if c.what != "list" {
		needs = " -id=ID"
	}
	return opts.usage(`
Usage: vault-replication replication kept ` + c.what + needs + ` [options]

  ` + keptSynopses[c.what] + `: values that the cluster at VAULT_ADDR had when it was made to follow
  another primary with keep_own_writes, and that primary had not. Nobody else has them.

  VAULT_TOKEN needs sudo on sys/replication/kept/` + c.what + `. A DR secondary needs VAULT_DR_OPERATION_TOKEN.`)
}

func (c *keptCommand) Run(args []string) int {
	opts, id := c.options()
	err := opts.parse(args)
	if err == nil && c.what != "list" && *id == "" {
		err = fmt.Errorf("-id is missing: see vault-replication replication kept list")
	}
	if err == nil {
		err = c.run(context.Background(), opts.format, *id)
	}
	return result(c.errs, err)
}

// keptPage is an answer of read.
type keptPage struct {
	view.Held
	Entries []keptEntry `json:"entries"`
}

type keptEntry struct {
	Key     string `json:"key"`
	Place   string `json:"place"`
	Deleted bool   `json:"deleted"`
	Value   []byte `json:"value"`
	Content any    `json:"content"`
}

// run asks the endpoint, which a DR secondary has elsewhere.
func (c *keptCommand) run(ctx context.Context, format, id string) error {
	token, err := ownToken()
	if err != nil {
		return err
	}
	on, err := client("", token)
	if err != nil {
		return err
	}
	params := map[string]any{}
	is := view.Ask(ctx, on)
	if is.Error != "" {
		return fmt.Errorf("%s cannot be asked: %s", is.Address, is.Error)
	}
	path, operation := is.KeptPath(c.what)
	if operation {
		if params["dr_operation_token"] = os.Getenv(envOperationToken); params["dr_operation_token"] == "" {
			return fmt.Errorf("%s is not set: this cluster is a DR secondary, which takes no other token", envOperationToken)
		}
	}
	if id != "" {
		params["id"] = id
	}
	switch c.what {
	case "list":
		var list view.Holdings
		if err := c.ask(ctx, on, path, params, &list); err != nil {
			return err
		}
		return c.list(format, list.Kept)
	case "read":
		return c.read(ctx, format, on, path, params)
	}
	if err := c.ask(ctx, on, path, params, nil); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "removed %s\n", id)
	return nil
}

func (c *keptCommand) ask(ctx context.Context, on *api.Client, path string, params map[string]any, into any) error {
	secret, err := on.Logical().WriteWithContext(ctx, path, params)
	if err != nil || into == nil {
		return roleswitch.Refused(on.Address(), path, err)
	}
	if secret == nil {
		return fmt.Errorf("%s answered %s without data", on.Address(), path)
	}
	raw, err := json.Marshal(secret.Data)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (c *keptCommand) list(format string, list []view.Held) error {
	if format == "json" {
		writeJSON(c.out, list)
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(c.out, "Nothing is kept.")
		return nil
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "id\tmode\tkept\tvalues\twhere")
	for _, k := range list {
		var places []string
		for _, p := range k.Places {
			places = append(places, fmt.Sprintf("%s (%d)", p.Place, p.Values))
		}
		what := fmt.Sprint(k.Values)
		if !k.Exact {
			what += ", all that it had"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Mode, k.Kept, what, strings.Join(places, ", "))
	}
	return w.Flush()
}

// read prints one value after the other, as the answers come.
func (c *keptCommand) read(ctx context.Context, format string, on *api.Client, path string,
	params map[string]any) error {
	for offset := 0; ; {
		params["offset"] = offset
		var page keptPage
		if err := c.ask(ctx, on, path, params, &page); err != nil {
			return err
		}
		for _, e := range page.Entries {
			if format == "json" {
				if err := json.NewEncoder(c.out).Encode(e); err != nil {
					return err
				}
				continue
			}
			c.print(&e)
		}
		if offset += len(page.Entries); len(page.Entries) == 0 || offset >= page.Values {
			return nil
		}
	}
}

func (c *keptCommand) print(e *keptEntry) {
	text := fmt.Sprintf("%d bytes, see -format=json", len(e.Value))
	if e.Deleted {
		text = "deleted"
	} else if e.Content != nil {
		if raw, err := json.Marshal(e.Content); err == nil {
			text = string(raw)
		}
	}
	fmt.Fprintf(c.out, "%s  %s\n  %s\n", e.Place, e.Key, text)
}
