// SPDX-License-Identifier: MPL-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Server is a running PostgreSQL with a superuser "vaultadmin".
type Server struct {
	// Port on 127.0.0.1.
	Port int
	// Admin and Password are the superuser's.
	Admin, Password string

	dir    string
	binDir string
	cmd    *exec.Cmd
	done   chan struct{}
}

// New starts a server that ends with the test. It syncs nothing: tests need no data that outlives
// their machine.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := Start(t.Context(), map[string]string{"fsync": "off"})
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Start starts a server with settings of its own beside PostgreSQL's defaults.
func Start(ctx context.Context, settings map[string]string) (*Server, error) {
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	if err := s.initialise(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	if err := s.start(ctx, settings); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Standby starts a second server that follows this one by streaming replication, and answers reads.
func (s *Server) Standby(ctx context.Context, settings map[string]string) (*Server, error) {
	standby, err := prepare()
	if err != nil {
		return nil, err
	}
	base := exec.CommandContext(ctx, filepath.Join(s.binDir, "pg_basebackup"), "-h", "127.0.0.1",
		"-p", strconv.Itoa(s.Port), "-U", s.Admin, "-D", standby.data(), "-R", "-X", "stream", "-c", "fast")
	base.Env = append(os.Environ(), "PGPASSWORD="+s.Password)
	if err := standby.run(base); err != nil {
		standby.Stop()
		return nil, err
	}
	if err := standby.start(ctx, settings); err != nil {
		standby.Stop()
		return nil, err
	}
	return standby, nil
}

func prepare() (*Server, error) {
	binDir, err := findBinaries()
	if err != nil {
		return nil, err
	}
	// Not a test's own folder: the server's user must be able to reach it.
	dir, err := os.MkdirTemp("", "pg-")
	if err != nil {
		return nil, err
	}
	return &Server{Admin: "vaultadmin", Password: "adminpass", dir: dir, binDir: binDir}, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Plain is a connection string of the superuser.
func (s *Server) Plain() string {
	return fmt.Sprintf("postgresql://%s:%s@127.0.0.1:%d/postgres?sslmode=disable", s.Admin, s.Password, s.Port)
}

// URL is a connection string; Vault fills in the two templates.
func (s *Server) URL() string {
	return fmt.Sprintf("postgresql://{{username}}:{{password}}@127.0.0.1:%d/postgres?sslmode=disable", s.Port)
}

// VaultTables makes the two tables of a Vault cluster, as Vault's documentation has
// them, and says where they are.
func (s *Server) VaultTables(t testing.TB, name string) cluster.Tables {
	t.Helper()
	tables := cluster.Tables{
		URL: s.Plain(), Entries: name + "_kv_store", Locks: name + "_ha_locks",
	}
	for _, statement := range []string{
		`CREATE TABLE ` + tables.Entries +
			` (parent_path TEXT COLLATE "C" NOT NULL, path TEXT COLLATE "C", key TEXT COLLATE "C", value BYTEA, PRIMARY KEY (path, key))`,
		`CREATE INDEX ` + name + `_parent_path_idx ON ` + tables.Entries + ` (parent_path)`,
		`CREATE TABLE ` + tables.Locks + ` (ha_key TEXT COLLATE "C" NOT NULL, ha_identity TEXT COLLATE "C" NOT NULL, ` +
			`ha_value TEXT COLLATE "C", valid_until TIMESTAMP WITH TIME ZONE NOT NULL, PRIMARY KEY (ha_key))`,
	} {
		if _, err := s.Query(t.Context(), s.Admin, s.Password, statement); err != nil {
			t.Fatalf("making the tables of %s: %v", name, err)
		}
	}
	return tables
}

// Query runs one statement as a user and returns the bare rows.
func (s *Server) Query(ctx context.Context, username, password, statement string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.binDir, "psql"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port),
		"-U", username, "-d", "postgres", "-At", "-c", statement)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCONNECT_TIMEOUT=5")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func findBinaries() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	slices.Reverse(dirs)
	for _, dir := range dirs {
		ok := true
		for _, name := range []string{"initdb", "postgres", "psql", "pg_basebackup"} {
			_, err := os.Stat(filepath.Join(dir, name))
			ok = ok && err == nil
		}
		if ok {
			return dir, nil
		}
	}
	return "", errors.New("PostgreSQL is not installed, and the tests of database leases need it: run scripts/deps.sh " +
		"as root")
}

// unprivileged makes a command run as an ordinary user when the test is root:
// PostgreSQL refuses to run as root.
func (s *Server) unprivileged(cmd *exec.Cmd) error {
	cmd.SysProcAttr = attributes()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	cmd.Dir = s.dir
	return os.Chown(s.dir, int(uid), int(gid))
}

// run runs a command of the packages to its end.
func (s *Server) run(cmd *exec.Cmd) error {
	if err := s.unprivileged(cmd); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, out)
	}
	return nil
}

func (s *Server) initialise(ctx context.Context) error {
	passwordFile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(s.Password+"\n"), 0o644); err != nil {
		return err
	}
	return s.run(exec.CommandContext(ctx, filepath.Join(s.binDir, "initdb"), "-D", s.data(), "-U", s.Admin,
		"--pwfile="+passwordFile, "--auth=scram-sha-256", "--no-sync", "-E", "UTF8", "--locale=C"))
}

func (s *Server) start(ctx context.Context, settings map[string]string) error {
	port, err := cluster.ReservePort()
	if err != nil {
		return err
	}
	s.Port = port
	args := []string{"-D", s.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-k", s.dir, "-c", "max_connections=50"}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	s.cmd = exec.Command(filepath.Join(s.binDir, "postgres"), args...)
	if err := s.unprivileged(s.cmd); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // ended by Stop
		close(s.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return cluster.Wait(ctx, "PostgreSQL answers", func(ctx context.Context) error {
		_, err := s.Query(ctx, s.Admin, s.Password, "select 1")
		return err
	})
}

// Stop ends the server and removes what it has stored.
func (s *Server) Stop() {
	if s.done != nil {
		// SIGINT is PostgreSQL's fast shutdown: it ends its children too.
		_ = s.cmd.Process.Signal(syscall.SIGINT)
		<-s.done
		cluster.ReleasePort(s.Port)
	}
	_ = os.RemoveAll(s.dir)
}
