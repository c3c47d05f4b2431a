// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// killWait is how long to wait for a process that was asked to end before it is killed, and
// after that for what is left of it.
const killWait = 3 * time.Second

// process is a running plugin.
type process struct {
	entry   *Entry
	client  *plugin.Client
	backend *grpcplugin.Client
	cmd     *exec.Cmd
	kill    context.CancelFunc // SIGKILL, at any time
	pid     int
	sockets string // directory of the process' sockets
}

// launch starts a plugin and attaches to it. It must be called on the OS thread
// that stays for the life of the process (see endWithHost).
func (s *Supervisor) launch(ctx context.Context, e *Entry, path string) (*process, error) {
	sum, err := hex.DecodeString(e.SHA256)
	if err != nil {
		return nil, invalid("the sha256 of plugin %q is not hexadecimal", e.Name)
	}
	// Each process has a directory of its own, because a process that is killed leaves its
	// sockets behind.
	sockets, err := os.MkdirTemp(s.cfg.SocketDir, "replication")
	if err != nil {
		return nil, replication.Errorf(replication.Unavailable, "no directory can be made for the sockets of plugin %q: %w",
			e.Name, err)
	}
	if err := fitsSocket(sockets); err != nil {
		_ = os.Remove(sockets) // an empty folder is no reason to fail
		return nil, err
	}
	logger := s.cfg.Logger.Named(e.Name)
	p := &process{entry: e, sockets: sockets}
	// The context is the only way to kill a process that go-plugin is still
	// waiting for.
	cmdCtx, kill := context.WithCancel(context.Background())
	p.kill = kill
	defer context.AfterFunc(ctx, kill)()
	//nolint:gosec // the program of the configuration, checked by its sum
	p.cmd = exec.CommandContext(cmdCtx, path, e.Args...)
	p.cmd.Env = append(append([]string{}, e.Env...),
		grpcplugin.EnvLogLevel+"="+logger.GetLevel().String(),
		plugin.EnvUnixSocketDir+"="+sockets)
	p.cmd.SysProcAttr = endWithHost()
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: grpcplugin.Handshake(),
		VersionedPlugins: grpcplugin.Versions(&grpcplugin.Plugin{
			Host: s.cfg.Host, PluginName: e.Name, AttachTimeout: s.cfg.StartTimeout, Logger: logger,
		}),
		Cmd:              p.cmd,
		SecureConfig:     &plugin.SecureConfig{Checksum: sum, Hash: sha256.New()},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     s.cfg.StartTimeout,
		GRPCDialOptions:  grpcplugin.DialOptions(),
		Logger:           logger,
	})
	protocol, err := p.client.Client()
	if err == nil {
		var raw any
		if raw, err = protocol.Dispense(grpcplugin.Name); err == nil {
			p.backend = raw.(*grpcplugin.Client)
			p.pid, _ = strconv.Atoi(p.client.ID())
			return p, nil
		}
	}
	p.destroy()
	return nil, s.startError(e, err)
}

// maxSocketPath is the longest path of a Unix socket in bytes: sun_path of sockaddr_un has
// 108 on Linux, with its end (unix(7)).
const maxSocketPath = 107

// fitsSocket refuses a directory in which no plugin could listen. Otherwise the
// plugin ends with "bind: invalid argument", again and again.
func fitsSocket(dir string) error {
	// go-plugin names its sockets with os.CreateTemp, which adds up to ten digits.
	if room := maxSocketPath - len("/plugin4294967295"); len(dir) > room {
		return broken("the directory %s for the sockets of plugins has %d bytes and may have %d: start the server with "+
			"TMPDIR set to a shorter path", dir, len(dir), room)
	}
	return nil
}

// startError makes one sentence of go-plugin's error. The status has the sentence and needs
// no token, so what the program wrote is in the log alone.
func (s *Supervisor) startError(e *Entry, err error) error {
	text := err.Error()
	const garbage = "Unrecognized remote plugin message: "
	switch {
	case errors.Is(err, plugin.ErrChecksumsDoNotMatch):
		return checksumError(e)
	case strings.Contains(text, "timeout while waiting for plugin to start"):
		return broken("plugin %q did not complete its handshake within %s: it hangs or is no replication plugin", e.Name,
			s.cfg.StartTimeout)
	case strings.Contains(text, "plugin exited before we could connect"),
		strings.Contains(text, "Failed to read any lines"):
		return broken("plugin %q ended before its handshake: its output is in the server's log", e.Name)
	case strings.HasPrefix(text, garbage):
		line, _, _ := strings.Cut(strings.TrimPrefix(text, garbage), "\n")
		s.cfg.Logger.Error("the replication plugin wrote something else than a handshake", "plugin", e.Name, "wrote",
			shorten(line))
		return broken("plugin %q wrote something else than a handshake: it is no replication plugin; the server's log has "+
			"what it wrote", e.Name)
	}
	line, _, _ := strings.Cut(text, "\n")
	s.cfg.Logger.Error("the replication plugin could not be started", "plugin", e.Name, "error", shorten(line))
	return broken("plugin %q could not be started: the server's log says why", e.Name)
}

func broken(format string, args ...any) error {
	return replication.Errorf(replication.Unavailable, format, args...)
}

func shorten(s string) string {
	const most = 200
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// stop ends the plugin in order: its sessions first, then the process, by force
// if it does not end.
func (p *process) stop(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	// A plugin that does not stop is killed all the same.
	_ = p.backend.Stop(ctx)
	force := time.AfterFunc(killWait, p.kill)
	defer force.Stop()
	p.end()
	p.kill()
}

// destroy kills the process at once and waits for it.
func (p *process) destroy() {
	p.kill()
	p.end()
}

// end lets go-plugin end the process and remove its sockets. go-plugin may wait for the
// plugin's own children, which must not hold up Vault.
func (p *process) end() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.client.Kill()
	}()
	select {
	case <-ended:
	case <-time.After(2 * killWait):
	}
	// A directory that cannot be removed is left among the system's temporary files.
	_ = os.RemoveAll(p.sockets)
}

// exitReason is one sentence on a process whose connection has ended. It waits a moment:
// the connection breaks before the exit is known, and a kill before that would hide how the
// process ended.
func (p *process) exitReason() error {
	select {
	case <-p.backend.Exited():
	case <-time.After(killWait):
	}
	if p.client.Exited() && p.cmd.ProcessState != nil {
		return broken("plugin %q ended by itself (%s): the end of its output is in the server's log", p.entry.Name,
			p.cmd.ProcessState)
	}
	return broken("plugin %q closed its connection to the host", p.entry.Name)
}
