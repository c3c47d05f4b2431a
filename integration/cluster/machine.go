// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// onMachine are the folders of a machine that a test has its own ones for.
var onMachine = []string{"/etc", "/opt", "/usr/bin", "/usr/lib/systemd/system", "/var/lib"}

// Machine stands in for a machine with systemd: a folder in the place of its root, and a systemctl that starts what the
// unit vault.service says, and waits until it says that it is ready.
type Machine struct {
	// Root is the folder in the place of "/".
	Root string
	// APIPort and ClusterPort are those of 127.0.0.1 that stand in for 8200 and 8201.
	APIPort, ClusterPort int

	t       testing.TB
	notices *net.UnixConn
	mu      sync.Mutex
	said    []string
	process *process
}

// NewMachine makes one that lives as long as the test. It has a certificate of the CA, and no Vault yet.
func NewMachine(t testing.TB, ca *CA) *Machine {
	t.Helper()
	root, err := os.MkdirTemp("", "m") // the path of a socket has at most 107 bytes
	m := &Machine{Root: root, t: t}
	t.Cleanup(m.remove)
	m.must(err)
	own := []string{"/etc/vault.d/tls", "/etc/systemd/system", "/var/lib/vault", "/bin", "/tmp"}
	for _, dir := range append(own, onMachine...) {
		m.must(os.MkdirAll(root+dir, 0o700))
	}
	m.APIPort, err = ReservePort()
	m.must(err)
	m.ClusterPort, err = ReservePort()
	m.must(err)
	m.must(ca.Issue(root+"/etc/vault.d/tls/vault.pem", root+"/etc/vault.d/tls/vault.key"))
	pem, err := os.ReadFile(ca.File)
	m.must(err)
	m.must(os.WriteFile(root+"/etc/vault.d/tls/ca.pem", pem, 0o600))

	m.notices, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: root + "/notify", Net: "unixgram"})
	m.must(err)
	go m.listen()
	m.must(syscall.Mkfifo(root+"/asked", 0o600))
	m.must(syscall.Mkfifo(root+"/answered", 0o600))
	m.must(os.WriteFile(root+"/bin/systemctl", []byte(fmt.Sprintf("#!/bin/sh\n"+
		"echo \"$@\" >%[1]s/asked\nread -r answer <%[1]s/answered\n"+
		"[ \"$answer\" = done ] || { echo \"$answer\" >&2; exit 1; }\n", root)), 0o700))
	asked, err := os.OpenFile(root+"/asked", os.O_RDWR, 0)
	m.must(err)
	answered, err := os.OpenFile(root+"/answered", os.O_RDWR, 0)
	m.must(err)
	t.Cleanup(func() { _, _ = asked.Close(), answered.Close() })
	go m.serve(asked, answered)
	return m
}

func (m *Machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// remove ends what runs.
func (m *Machine) remove() {
	m.mu.Lock()
	p := m.process
	m.mu.Unlock()
	if p != nil {
		p.destroy()
	}
	if m.t.Failed() {
		m.t.Logf("end of the log of the machine %s:\n%s", m.Root, tail(m.Root+"/log"))
	}
	ReleasePort(m.APIPort)
	ReleasePort(m.ClusterPort)
	if m.notices != nil {
		_ = m.notices.Close()
	}
	_ = os.RemoveAll(m.Root)
}

// Names are pairs: a path of the machine, and what it is here.
func (m *Machine) Names() (pairs []string) {
	for _, dir := range onMachine {
		pairs = append(pairs, dir, m.Root+dir)
	}
	return pairs
}

// Address is that of the API.
func (m *Machine) Address() string { return fmt.Sprintf("https://127.0.0.1:%d", m.APIPort) }

// ClusterAddress is that of the cluster port.
func (m *Machine) ClusterAddress() string { return fmt.Sprintf("https://127.0.0.1:%d", m.ClusterPort) }

// Put writes a file of the machine. Paths and ports in it become those of here, and what else is given as pairs.
func (m *Machine) Put(path, text string, names ...string) {
	m.t.Helper()
	names = append(names, "0.0.0.0:8200", fmt.Sprintf("127.0.0.1:%d", m.APIPort),
		"0.0.0.0:8201", fmt.Sprintf("127.0.0.1:%d", m.ClusterPort))
	m.must(os.WriteFile(m.Root+path, []byte(m.here(strings.NewReplacer(names...).Replace(text))), 0o600))
}

// here is a text with the paths of here in the place of the machine's.
func (m *Machine) here(text string) string {
	pairs := m.Names()
	for _, dir := range onMachine { // what is of here already
		pairs = append(pairs, m.Root+dir, m.Root+dir)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Terminal is the environment of a shell on the machine.
func (m *Machine) Terminal() []string {
	return []string{"PATH=" + m.Root + "/bin:" + m.Root + "/usr/bin:" + os.Getenv("PATH"), "HOME=" + m.Root + "/tmp",
		"VAULT_ADDR=" + m.Address(), "VAULT_CACERT=" + m.Root + "/etc/vault.d/tls/ca.pem", "NO_COLOR=1"}
}

// Systemctl does what systemctl is asked for.
func (m *Machine) Systemctl(ctx context.Context, verb string) error {
	switch verb {
	case "daemon-reload":
		return nil
	case "start":
		return m.start(ctx)
	case "stop":
		return m.running().end(ctx, syscall.SIGINT)
	case "restart":
		return errors.Join(m.running().end(ctx, syscall.SIGINT), m.start(ctx))
	case "reload":
		return m.running().cmd.Process.Signal(syscall.SIGHUP)
	}
	return errors.New("the machine of this test does not know: systemctl " + verb)
}

// Said are the states that the server has told systemd since its start.
func (m *Machine) Said() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.said)
}

func (m *Machine) running() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

func (m *Machine) listen() {
	state := make([]byte, 4096)
	for {
		n, err := m.notices.Read(state)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.said = append(m.said, strings.Fields(string(state[:n]))...)
		m.mu.Unlock()
	}
}

func (m *Machine) serve(asked, answered *os.File) {
	for lines := bufio.NewScanner(asked); lines.Scan(); {
		answer := "done"
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		verb, _, _ := strings.Cut(lines.Text(), " ")
		if err := m.Systemctl(ctx, verb); err != nil {
			answer = strings.ReplaceAll(err.Error(), "\n", " ")
		}
		cancel()
		if _, err := fmt.Fprintln(answered, answer); err != nil {
			return
		}
	}
}

// start starts what the unit says. A unit in /etc goes before that of a package.
func (m *Machine) start(ctx context.Context) error {
	unit, err := os.ReadFile(m.Root + "/etc/systemd/system/vault.service")
	if errors.Is(err, os.ErrNotExist) {
		unit, err = os.ReadFile(m.Root + "/usr/lib/systemd/system/vault.service")
	}
	if err != nil {
		return err
	}
	env := []string{"NOTIFY_SOCKET=" + m.Root + "/notify", "TMPDIR=" + m.Root + "/tmp"}
	var command []string
	for _, line := range strings.Split(m.here(string(unit)), "\n") {
		if text, ok := strings.CutPrefix(line, "ExecStart="); ok {
			command = strings.Fields(text)
		} else if file, ok := strings.CutPrefix(line, "EnvironmentFile=-"); ok {
			variables, _ := os.ReadFile(filepath.Clean(file))
			for _, v := range strings.Split(string(variables), "\n") {
				if strings.Contains(v, "=") && !strings.HasPrefix(v, "#") {
					env = append(env, v)
				}
			}
		}
	}
	if len(command) == 0 {
		return errors.New("the unit has no ExecStart")
	}
	p, err := startProcess(m.Root+"/log", env, command[0], command[1:]...)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.process, m.said = p, nil
	m.mu.Unlock()
	return Wait(ctx, "the server says that it is ready", func(context.Context) error {
		switch {
		case slices.Contains(m.Said(), "READY=1"):
			return nil
		case p.exited():
			return Final(fmt.Errorf("it ended (%w): %s", p.result(), tail(m.Root+"/log")))
		}
		return errors.New("it has not said so")
	})
}
