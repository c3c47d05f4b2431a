// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// checkLimit bounds the check of a cluster at the end of a test.
const checkLimit = 30 * time.Second

// errUnchecked says why a cluster cannot be checked at the end of a test.
type errUnchecked struct{ why string }

func (e errUnchecked) Error() string { return e.why }

// CheckIndexes compares the roots of a cluster with what it has stored, in each mode that
// it has a role in. The error is an [errUnchecked] for a cluster that cannot be asked: it
// does not run, is sealed, frozen or bootstrapping, or the test has made its root token and
// key shares invalid.
func (c *Cluster) CheckIndexes(ctx context.Context) error {
	n, err := c.asked(ctx)
	if err != nil {
		return err
	}
	secret, err := n.Anonymous().Logical().ReadWithContext(ctx, "sys/replication/status")
	if err != nil || secret == nil {
		return errUnchecked{fmt.Sprintf("its replication status cannot be read: %v", err)}
	}
	var unchecked error
	for _, mode := range []string{"dr", "performance"} {
		status, _ := secret.Data[mode].(map[string]any)
		role, _ := status["mode"].(string)
		if role == "primary" || role == "secondary" {
			err := n.checkIndex(ctx, mode, role)
			if err != nil && !errors.As(err, new(errUnchecked)) {
				return err
			}
			unchecked = errors.Join(unchecked, err)
		}
	}
	return unchecked
}

// neverLogged are pieces of lines that say of a server that it did what it must not: a secondary's core wrote what
// its primary alone writes, a salt was made where it may not be stored, the parser of stock Vault saw the stanza of
// replication, or something crashed.
var neverLogged = []string{"readonly storage", "failed to persist salt", "unknown or unsupported field replication",
	"panic: ", "[recovered]", "runtime error: ", "panic serving", "WARNING: DATA RACE"}

// CheckLogs looks in the whole logs of all servers of a cluster for what none of them may say.
func (c *Cluster) CheckLogs() error {
	var wrong []error
	for _, n := range c.nodes {
		log, err := os.ReadFile(n.LogFile())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(log)) {
			if n.mustNotLog(line) {
				wrong = append(wrong, fmt.Errorf("%s logs: %s", n.Name(), strings.TrimSpace(line)))
			}
		}
	}
	return errors.Join(wrong...)
}

func (n *Node) mustNotLog(line string) bool {
	has := func(piece string) bool { return strings.Contains(line, piece) }
	return slices.ContainsFunc(neverLogged, has) && !slices.ContainsFunc(n.cluster.opts.MayLog, has)
}

// asked returns the active node if the cluster can be asked.
func (c *Cluster) asked(ctx context.Context) (*Node, error) {
	for _, n := range c.nodes {
		if n.process == nil || n.process.exited() || n.frozen || n.cutOff {
			continue
		}
		health, err := n.Health(ctx)
		if err == nil && health.Initialized && !health.Sealed && !health.Standby {
			return n, nil
		}
	}
	return nil, errUnchecked{"no node of it is active"}
}

func (n *Node) checkIndex(ctx context.Context, mode, role string) error {
	client, path, params := n.APIClient(), "sys/replication/"+mode+"/merkle-check", map[string]any{}
	if mode == "dr" && role == "secondary" {
		token, err := n.cluster.OperationToken()
		if err != nil {
			return errUnchecked{fmt.Sprintf("its key shares make no DR operation token: %v", err)}
		}
		client, path, params["dr_operation_token"] = n.Anonymous(), "sys/replication/dr/secondary/merkle-check", token
	}
	secret, err := client.Logical().WriteWithContext(ctx, path, params)
	var answer *api.ResponseError
	switch {
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusForbidden ||
		answer.StatusCode == http.StatusServiceUnavailable):
		return errUnchecked{answer.Error()} // its token is of no use any more, or its index is being computed
	case err != nil && ctx.Err() != nil:
		return errUnchecked{"the check takes too long"}
	case err != nil:
		return errUnchecked{fmt.Sprintf("it does not answer: %v", err)}
	case secret == nil:
		return fmt.Errorf("%s answers nothing to a check of its %s index", n.Name(), mode)
	}
	report, _ := secret.Data["merkle_corruption_report"].(map[string]any)
	if wrong, ok := report["corrupted_root"].(bool); !ok || wrong {
		return fmt.Errorf("the %s root of %s is not that of what it has stored: %v", mode, n.Name(), secret.Data)
	}
	return nil
}
