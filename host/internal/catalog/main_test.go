// SPDX-License-Identifier: MPL-2.0

package catalog_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/catalog"
	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/replicationtest"
)

// envRole makes the test binary something else than a test, see TestMain.
const envRole = "CATALOG_TEST_ROLE"

// TestMain makes the test binary a plugin, good or bad, or a host.
func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "probe":
		grpcplugin.Serve(replicationtest.NewProbe)
	case "hanging":
		grpcplugin.Serve(func(host replication.Host, logger hclog.Logger) replication.Backend {
			return hanging{replicationtest.NewProbe(host, logger)}
		})
	case "failing":
		grpcplugin.Serve(func(host replication.Host, logger hclog.Logger) replication.Backend {
			return failing{replicationtest.NewProbe(host, logger), host}
		})
	case "exit":
		os.Exit(4)
	case "garbage":
		fmt.Println("hello, I am a shell script")
		_, _ = io.Copy(io.Discard, os.Stdin)
		hang()
	case "silent":
		hang()
	case "host":
		beHost()
	default:
		os.Exit(runTests(m))
	}
}

// hang waits for a signal that never comes. A bare select would end the process:
// without cgo the runtime sees that nothing can wake it.
func hang() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR2)
	<-never
}

// runTests gives everything temporary one place, which is removed: sockets of a
// host that was killed stay.
func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "c")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	return m.Run()
}

// hanging answers no ping, as after a deadlock.
type hanging struct{ replication.Backend }

func (hanging) Status(context.Context) (*replication.Status, error) { select {} }

// failing answers pings with an error, after it has told the host of them.
type failing struct {
	replication.Backend
	host replication.Host
}

func (f failing) Status(ctx context.Context) (*replication.Status, error) {
	_ = f.host.PutState(ctx, "ping", nil)
	return nil, replication.Errorf(replication.Unavailable, "no status now")
}

// memory is a Store.
type memory struct {
	mu      sync.Mutex
	records map[string][]byte
}

func newMemory() *memory { return &memory{records: map[string][]byte{}} }

func (m *memory) Get(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[name], nil
}

func (m *memory) Put(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records[name] = slices.Clone(value)
	return nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, name)
	return nil
}

func (m *memory) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.records {
		names = append(names, name)
	}
	return names, nil
}

// install puts the test binary into a plugin directory and returns its checksum.
func install(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if os.Link(os.Args[0], path) != nil {
		binary, err := os.ReadFile(os.Args[0])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, binary, 0o700))
	}
	return ownSum(t)
}

var ownSumOnce = sync.OnceValues(func() (string, error) { return catalog.SumFile(os.Args[0]) })

func ownSum(t *testing.T) string {
	t.Helper()
	sum, err := ownSumOnce()
	require.NoError(t, err)
	return sum
}

// plugins makes a catalog with the test binary registered as the DR plugin, in
// the role given.
func plugins(t *testing.T, role string) (*catalog.Catalog, string) {
	t.Helper()
	dir := t.TempDir()
	c, err := catalog.New(catalog.Config{Dir: dir, Store: newMemory()})
	require.NoError(t, err)
	install(t, dir, "binary")
	register(t, c, role)
	return c, dir
}

func entryOf(t *testing.T, role string) catalog.Entry {
	return catalog.Entry{
		Name: "replication-dr", Mode: replication.DR, Command: "binary", SHA256: ownSum(t),
		Env: []string{envRole + "=" + role}, Version: role,
	}
}

func register(t *testing.T, c *catalog.Catalog, role string) {
	t.Helper()
	require.NoError(t, c.Put(t.Context(), entryOf(t, role)))
}

// supervise makes a supervisor with short pauses, stopped with the test. Its
// sockets' directory must be empty then.
func supervise(t *testing.T, c *catalog.Catalog, change func(*catalog.SupervisorConfig)) *catalog.Supervisor {
	t.Helper()
	sockets, err := os.MkdirTemp("", "s") // short: the path of a socket is limited
	require.NoError(t, err)
	cfg := catalog.SupervisorConfig{
		Catalog: c, Name: "replication-dr", Host: &replicationtest.Host{}, SocketDir: sockets,
		StartTimeout: time.Minute, BackoffMin: 10 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	s, err := catalog.NewSupervisor(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Stop()
		left, err := os.ReadDir(sockets)
		if err != nil || len(left) != 0 {
			t.Errorf("sockets are left: %v %v", left, err)
		}
		os.RemoveAll(sockets)
	})
	return s
}

// eventually waits for a condition of the health.
func eventually(t *testing.T, s *catalog.Supervisor, what string, cond func(catalog.Health) bool) catalog.Health {
	t.Helper()
	var h catalog.Health
	require.Eventually(t, func() bool { h = s.Health(); return cond(h) }, time.Minute, 5*time.Millisecond, what)
	return h
}
