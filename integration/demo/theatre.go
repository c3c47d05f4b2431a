// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// theatre holds the two servers and what the acts remember.
type theatre struct {
	dir        string
	east, west *cluster.Cluster
	appToken   string
}

func newTheatre(ctx context.Context, binary string) (t *theatre, err error) {
	t = &theatre{}
	if t.dir, err = os.MkdirTemp("", "vault-demo-"); err != nil {
		return nil, err
	}
	ca, err := cluster.NewCA(t.dir)
	if err != nil {
		t.close()
		return nil, err
	}
	title("Two separate Vault servers: raft storage, TLS, key split in 3 shares of which 2 are needed")
	for _, c := range []struct {
		name string
		at   **cluster.Cluster
	}{{"east", &t.east}, {"west", &t.west}} {
		*c.at, err = cluster.Start(ctx, cluster.Options{Name: c.name, Binary: binary, CA: ca, Shares: 3, Threshold: 2})
		if err != nil {
			t.close()
			return nil, err
		}
		fmt.Printf("%s: pid %d, %s\n", c.name, (*c.at).Node(0).PID(), (*c.at).Node(0).Address())
	}
	return t, nil
}

func (t *theatre) close() {
	for _, c := range []*cluster.Cluster{t.east, t.west} {
		if c != nil {
			c.Cleanup()
		}
	}
	_ = os.RemoveAll(t.dir) // a leftover folder is no reason to fail
}

func title(text string) {
	fmt.Printf("\n# %s\n", text)
}

// vault runs one command of the stock command line against a cluster and prints
// both as a terminal would show them. Secrets that the operator would not type
// in the open are shortened on the screen only.
func (t *theatre) vault(ctx context.Context, c *cluster.Cluster, args ...string) (string, error) {
	return t.vaultAs(ctx, c, c.GetRootToken(), args...)
}

func (t *theatre) vaultAs(ctx context.Context, c *cluster.Cluster, token string, args ...string) (string, error) {
	fmt.Printf("\n%s$ vault %s\n", c.ClusterID(), shorten(strings.Join(quoted(args), " ")))
	cmd := exec.CommandContext(ctx, c.Options().Binary, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.dir, "NO_COLOR=1",
		"VAULT_ADDR=" + c.Node(0).Address(), "VAULT_CACERT=" + c.GetCACertPEMFile(), "VAULT_TOKEN=" + token,
	}
	raw, err := cmd.CombinedOutput()
	out := string(raw)
	fmt.Println(shorten(strings.TrimRight(out, "\n")))
	if err != nil {
		return out, fmt.Errorf("vault %s: %w", args[0], err)
	}
	return out, nil
}

// long are tokens, key shares and activation bundles.
var long = regexp.MustCompile(`[A-Za-z0-9_.\-+/=]{60,}`)

func shorten(s string) string {
	return long.ReplaceAllStringFunc(s, func(secret string) string { return secret[:20] + "…" })
}

func quoted(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = arg
		if strings.ContainsAny(arg, " \"{}\n") {
			out[i] = "'" + arg + "'"
		}
	}
	return out
}

// column is a value of the command line's two-column output.
func column(out, name string) (string, error) {
	match := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `:?\s+(\S+)`).FindStringSubmatch(out)
	if match == nil {
		return "", errors.New("the output has no " + name)
	}
	return match[1], nil
}
