// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// set is a primary, its secondary and the link between their cluster ports.
type set struct {
	t                  *testing.T
	mode               string
	link               *cable.Cable
	primary, secondary *cluster.Cluster
	// operation is the DR operation token of the secondary, none in performance mode.
	operation string
	ids       int
}

func newSet(t *testing.T, mode string) *set {
	t.Helper()
	s := &set{t: t, mode: mode}
	s.link, s.primary, s.secondary = linked(t)
	if mode == "dr" {
		require.NoError(t, s.primary.EnableDRPrimary(t.Context()))
		require.NoError(t, s.secondary.JoinDR(t.Context(), s.primary))
		var err error
		s.operation, err = s.secondary.OperationToken()
		require.NoError(t, err)
		return s
	}
	require.NoError(t, s.primary.EnablePerformancePrimary(t.Context()))
	require.NoError(t, s.secondary.JoinPerformance(t.Context(), s.primary, "west"))
	return s
}

// ask sends one request of the mode to the secondary.
func (s *set) ask(path string, body map[string]any) error {
	if body == nil {
		body = map[string]any{}
	}
	token := s.secondary.GetRootToken()
	if s.mode == "dr" {
		token, body["dr_operation_token"] = "", s.operation
	}
	_, err := once(s.t, s.secondary, token).Logical().WriteWithContext(s.t.Context(), "sys/replication/"+s.mode+
		"/secondary/"+path, body)
	return err
}

// roleOf is the role that a cluster says it has.
func (s *set) roleOf(c *cluster.Cluster) string {
	role := ""
	cluster.Eventually(s.t, limit, c.Node(0).Name()+" says its role", func(ctx context.Context) error {
		status, err := c.Node(0).Anonymous().Logical().ReadWithContext(ctx, "sys/replication/"+s.mode+"/status")
		if err != nil {
			return err
		}
		if status == nil {
			return errors.New("no answer")
		}
		role = fmt.Sprint(status.Data["mode"])
		return nil
	})
	return role
}

// streams waits until all is well.
func (s *set) streams() {
	s.t.Helper()
	if s.mode == "dr" {
		require.NoError(s.t, s.secondary.Node(0).WaitStreaming(s.t.Context()))
		require.NoError(s.t, s.secondary.WaitEqual(s.t.Context(), s.primary))
		return
	}
	require.NoError(s.t, s.secondary.Node(0).WaitPerformanceStreaming(s.t.Context()))
	require.NoError(s.t, s.secondary.WaitCaughtUp(s.t.Context(), s.primary))
}

// killPlugin ends the process of the mode's plugin.
func (s *set) killPlugin(c *cluster.Cluster) {
	tree, err := procfs.Tree(c.Node(0).PID())
	require.NoError(s.t, err)
	for _, pid := range tree[1:] {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && filepath.Base(exe) == "replication-"+
			s.mode {
			require.NoError(s.t, syscall.Kill(pid, syscall.SIGKILL))
			return
		}
	}
	require.FailNow(s.t, "the server has no plugin of the mode")
}

// resets are the ways in which the session of a living primary ends and begins again.
func (s *set) resets() map[string]func() {
	t, ctx := s.t, s.t.Context()
	reload := "sys/plugins/reload/replication/replication-" + s.mode
	token := func() string {
		s.ids++
		secret := put(t, s.primary, "sys/replication/"+s.mode+"/primary/secondary-token",
			map[string]any{"id": fmt.Sprintf("again-%d", s.ids)})
		return secret.WrapInfo.Token
	}
	resets := map[string]func(){
		"update-primary with addresses": func() {
			require.NoError(t, s.ask("update-primary", map[string]any{"update_primary_addrs": "https://" + s.link.Addr()}))
		},
		"update-primary with a token": func() {
			require.NoError(t, s.ask("update-primary",
				map[string]any{"token": token(), "ca_file": s.primary.GetCACertPEMFile()}))
		},
		"recover of the secondary": func() {
			if s.mode == "dr" {
				require.NoError(t, s.ask("recover", nil))
				return
			}
			put(t, s.secondary, "sys/replication/recover", nil)
		},
		"recover of the primary":  func() { put(t, s.primary, "sys/replication/recover", nil) },
		"a kill on the secondary": func() { s.killPlugin(s.secondary) },
		"a kill on the primary":   func() { s.killPlugin(s.primary) },
		"a reload on the primary": func() { put(t, s.primary, reload, nil) },
		"a step-down of the primary": func() {
			require.NoError(t, s.primary.Node(0).APIClient().Sys().StepDownWithContext(ctx))
		},
		"a link that is cut": s.link.Cut,
		"a link that is cut and mended": func() {
			s.link.Cut()
			s.link.Mend()
		},
		"a link that loses all": s.link.Freeze,
	}
	if s.mode != "dr" {
		// A DR secondary refuses these.
		resets["a reload on the secondary"] = func() { put(t, s.secondary, reload, nil) }
		resets["a step-down of the secondary"] = func() {
			require.NoError(t, s.secondary.Node(0).APIClient().Sys().StepDownWithContext(ctx))
		}
	}
	return resets
}

// Whatever ends the session of a living primary, its secondary is not promoted beside it
// without force, at no moment after. One whose primary is dead is.
func TestNeverTwoPrimariesWithoutForce(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"dr", "performance"} {
		t.Run(mode, func(t *testing.T) {
			parallel(t)
			s := newSet(t, mode)
			for name, reset := range s.resets() {
				for _, after := range []time.Duration{0, 100 * time.Millisecond, time.Second} {
					s.streams()
					reset()
					select {
					case <-time.After(after):
					case <-t.Context().Done():
					}
					err := s.ask("promote", nil)
					require.Error(t, err, "%s: promoted %s after", name, after)
					var refused *api.ResponseError
					if errors.As(err, &refused) {
						t.Logf("%s, %s after: %d %s", name, after, refused.StatusCode, strings.Join(refused.Errors, "; "))
					}
					s.link.Mend()
					require.Equal(t, "primary", s.roleOf(s.primary), "%s, %s after", name, after)
					require.Equal(t, "secondary", s.roleOf(s.secondary), "%s, %s after", name, after)
				}
			}
			s.streams()

			require.NoError(t, s.primary.Node(0).Kill(t.Context()))
			begun := time.Now()
			require.NoError(t, s.ask("promote", nil))
			t.Logf("promoted in place of a primary that had just died, answer after %s",
				time.Since(begun).Round(time.Millisecond))
			cluster.Eventually(t, limit, "the secondary is the primary", func(context.Context) error {
				if role := s.roleOf(s.secondary); role != "primary" {
					return fmt.Errorf("it is %s", role)
				}
				return nil
			})
			status, err := s.secondary.Node(0).Anonymous().Logical().ReadWithContext(t.Context(),
				"sys/replication/"+mode+"/status")
			require.NoError(t, err)
			require.NotContains(t, status.Data, "contested")
		})
	}
}

// A promotion that was forced beside a living primary says so, until the role changes.
func TestForcedPromotionIsContested(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"dr", "performance"} {
		t.Run(mode, func(t *testing.T) {
			parallel(t)
			s := newSet(t, mode)
			require.NoError(t, s.ask("promote", map[string]any{"force": true}))
			status := func(c *cluster.Cluster) map[string]any {
				status, err := c.Node(0).Anonymous().Logical().ReadWithContext(t.Context(), "sys/replication/"+mode+"/status")
				require.NoError(t, err)
				return status.Data
			}
			cluster.Eventually(t, limit, "the secondary is the primary", func(context.Context) error {
				if role := s.roleOf(s.secondary); role != "primary" {
					return fmt.Errorf("it is %s", role)
				}
				return nil
			})
			require.Equal(t, true, status(s.secondary)["contested"])
			require.NotContains(t, status(s.primary), "contested")
		})
	}
}
