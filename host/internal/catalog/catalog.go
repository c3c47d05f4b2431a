// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Store keeps named JSON records for the catalog. The host gives one behind the
// barrier. Calls may be concurrent.
type Store interface {
	// Get returns nil when there is no record.
	Get(ctx context.Context, name string) ([]byte, error)
	Put(ctx context.Context, name string, value []byte) error
	// Delete is no error when there is no record.
	Delete(ctx context.Context, name string) error
	List(ctx context.Context) ([]string, error)
}

// Config of a catalog.
type Config struct {
	// Dir is the plugin directory for operators' entries.
	Dir string
	// BuiltinDir is where the built-in plugins are; Dir when empty.
	BuiltinDir string
	// Store keeps operators' entries.
	Store Store
	// BuiltinSum returns the checksum of a built-in plugin's file, once in the life of the
	// catalog. A file that is changed under a running host is refused, until it is
	// registered. Nil computes it with [SumFile].
	BuiltinSum func(path string) (string, error)
	// BuiltinVersion is the version of the built-in plugins.
	BuiltinVersion string
}

// Catalog is the register of plugins. It may be used concurrently.
type Catalog struct {
	cfg Config

	mu   sync.Mutex
	sums map[string]string // of built-in plugins, by path
}

// New makes a catalog.
func New(cfg Config) (*Catalog, error) {
	if cfg.Store == nil {
		return nil, replication.Errorf(replication.Internal, "the plugin catalog was given no storage")
	}
	cfg.BuiltinDir = cmp.Or(cfg.BuiltinDir, cfg.Dir)
	if cfg.BuiltinSum == nil {
		cfg.BuiltinSum = SumFile
	}
	return &Catalog{cfg: cfg, sums: map[string]string{}}, nil
}

// List returns the names of all entries, built-in ones included. It reads none of them: a
// damaged one is listed too, and can be deleted or registered again.
func (c *Catalog) List(ctx context.Context) ([]string, error) {
	names, err := c.cfg.Store.List(ctx)
	if err != nil {
		return nil, storageError("list", "entries", err)
	}
	for _, mode := range replication.Modes() {
		names = append(names, BuiltinName(mode))
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Get returns the entry of a name, the built-in one if the name is not
// registered. NotFound when there is neither.
func (c *Catalog) Get(ctx context.Context, name string) (*Entry, error) {
	if !nameForm.MatchString(name) {
		return nil, nameError(name)
	}
	text, err := c.cfg.Store.Get(ctx, name)
	if err != nil {
		return nil, storageError("read", name, err)
	}
	if text != nil {
		return decodeEntry(name, text)
	}
	mode, ok := builtinMode(name)
	if !ok {
		return nil, replication.Errorf(replication.NotFound, "no plugin %q is registered", name)
	}
	e := &Entry{Name: name, Mode: mode, Command: name, Version: c.cfg.BuiltinVersion, Builtin: true}
	if path, err := locate(c.cfg.BuiltinDir, name); err == nil {
		// The error of a file that cannot be read is told when the plugin is to run.
		e.SHA256, _ = c.builtinSum(path)
	}
	return e, nil
}

func (c *Catalog) builtinSum(path string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sum, ok := c.sums[path]; ok {
		return sum, nil
	}
	sum, err := c.cfg.BuiltinSum(path)
	if err == nil {
		c.sums[path] = sum
	}
	return sum, err
}

// Put registers a plugin, or changes or overrides an entry. InvalidInput says what is wrong
// with it: the file must be there with that checksum. A running plugin goes on;
// [Supervisor.Reload] replaces it.
func (c *Catalog) Put(ctx context.Context, e Entry) error {
	e.Builtin = false
	e.SHA256 = strings.ToLower(e.SHA256)
	if err := e.check(); err != nil {
		return err
	}
	path, err := locate(c.cfg.Dir, e.Command)
	if err != nil {
		return err
	}
	if err := verify(&e, path); err != nil {
		return err
	}
	text, err := e.encode()
	if err != nil {
		return err
	}
	if err := c.cfg.Store.Put(ctx, e.Name, text); err != nil {
		return storageError("write", e.Name, err)
	}
	return nil
}

// Delete removes an operator's entry; a built-in one comes back. No error when
// there is none.
func (c *Catalog) Delete(ctx context.Context, name string) error {
	if !nameForm.MatchString(name) {
		return nameError(name)
	}
	if err := c.cfg.Store.Delete(ctx, name); err != nil {
		return storageError("delete", name, err)
	}
	return nil
}

// resolve returns the entry of a name and the path of its file. Whoever runs the file
// compares the checksum.
func (c *Catalog) resolve(ctx context.Context, name string) (*Entry, string, error) {
	e, err := c.Get(ctx, name)
	if err != nil {
		return nil, "", err
	}
	dir := c.cfg.Dir
	if e.Builtin {
		dir = c.cfg.BuiltinDir
	}
	path, err := locate(dir, e.Command)
	if err != nil {
		return e, "", err
	}
	if e.Builtin {
		if e.SHA256, err = c.builtinSum(path); err != nil {
			return e, "", invalid("the file of plugin %q cannot be read: %w", name, err)
		}
	}
	// The record may be older than the rules.
	return e, path, e.check()
}

func storageError(verb, name string, err error) error {
	return replication.Errorf(replication.StorageFailed, "the plugin catalog cannot %s %q: %w", verb, name, err)
}
