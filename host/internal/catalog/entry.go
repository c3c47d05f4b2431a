// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"regexp"
	"strings"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Entry is a registered plugin.
type Entry struct {
	// Name is the key: lower-case letters, digits, '.', '_' and '-', 1 to 128.
	Name string `json:"name"`
	// Mode is what the plugin implements.
	Mode replication.Mode `json:"type"`
	// Command is the name of a file in the plugin directory.
	Command string `json:"command"`
	// SHA256 is the checksum of that file in lower-case hexadecimal. Empty only
	// for a built-in plugin whose file could not be read.
	SHA256 string `json:"sha256"`
	// Args are the arguments of the command.
	Args []string `json:"args,omitempty"`
	// Env is the whole environment of the process, as NAME=VALUE. It inherits none of the
	// host's.
	Env []string `json:"env,omitempty"`
	// Version is shown in the status.
	Version string `json:"version,omitempty"`
	// Builtin says that the entry is the default; set by the catalog alone.
	Builtin bool `json:"builtin"`
}

// BuiltinName is the name of the plugin that comes with the host for a mode, and of its
// command.
func BuiltinName(mode replication.Mode) string { return "replication-" + string(mode) }

func builtinMode(name string) (replication.Mode, bool) {
	for _, mode := range replication.Modes() {
		if name == BuiltinName(mode) {
			return mode, true
		}
	}
	return "", false
}

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)
	sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)
	envForm    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
)

func invalid(format string, args ...any) error {
	return replication.Errorf(replication.InvalidInput, format, args...)
}

func nameError(name string) error {
	return invalid("the plugin name %q is not valid: use 1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a "+
		"letter or a digit", name)
}

// check says what is wrong with the form of an entry, without a look at files.
func (e *Entry) check() error {
	if !nameForm.MatchString(e.Name) {
		return nameError(e.Name)
	}
	if _, err := replication.ParseMode(string(e.Mode)); err != nil {
		return invalid("the type of plugin %q is not valid: %w", e.Name, err)
	}
	if mode, ok := builtinMode(e.Name); ok && mode != e.Mode {
		return invalid("the name %q is that of the %s plugin: it cannot be registered with the type %q", e.Name, mode, e.Mode)
	}
	if err := checkCommand(e.Command); err != nil {
		return err
	}
	if !sha256Form.MatchString(e.SHA256) {
		return invalid("the sha256 of plugin %q is not valid: give the 64 hexadecimal digits that sha256sum prints for its "+
			"file", e.Name)
	}
	for _, arg := range e.Args {
		if strings.ContainsRune(arg, 0) {
			return invalid("an argument of plugin %q has a NUL byte", e.Name)
		}
	}
	for _, v := range e.Env {
		if !envForm.MatchString(v) || strings.ContainsRune(v, 0) {
			return invalid("the environment of plugin %q has %q: give each variable as NAME=VALUE", e.Name, v)
		}
		if name, _, _ := strings.Cut(v, "="); reserved(name) {
			return invalid("the environment of plugin %q sets %s, which the host sets itself: leave it out", e.Name, name)
		}
	}
	return nil
}

// reserved names variables of the handshake, which an entry must not change.
func reserved(name string) bool {
	return strings.HasPrefix(name, "PLUGIN_") || strings.HasPrefix(name, "VAULT_REPLICATION_PLUGIN")
}

func checkCommand(command string) error {
	if command == "" || command == "." || command == ".." || strings.ContainsAny(command, "/\\\x00") {
		return invalid("the command %q is not valid: give the name of a file in the plugin directory, without a path",
			command)
	}
	return nil
}
