// SPDX-License-Identifier: MPL-2.0

package stored

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Store is all that a cluster has stored at one moment.
type Store struct {
	// Values are by key, as they are in the storage.
	Values map[string][]byte
	// Classes is the product's table of classes, with the cluster's mount tables.
	Classes keyclass.Classifier
}

// Read takes a snapshot of a cluster on raft. The client's token is a root token,
// and the server has raw_storage_endpoint, for the mount tables.
func Read(ctx context.Context, client *api.Client) (*Store, error) {
	var snapshot bytes.Buffer
	if err := client.Sys().RaftSnapshotWithContext(ctx, &snapshot); err != nil {
		return nil, err
	}
	values, err := readSnapshot(&snapshot)
	if err != nil {
		return nil, err
	}
	mounts, err := readMounts(ctx, client)
	if err != nil {
		return nil, err
	}
	s := &Store{Values: values}
	s.Classes.SetMounts(mounts)
	return s, nil
}

func readMounts(ctx context.Context, client *api.Client) (*keyclass.Mounts, error) {
	mounts := keyclass.NewMounts()
	declared := keyclass.Declared{}
	if err := readRaw(ctx, client, keyclass.DeclaredKey, &declared); err != nil {
		return nil, err
	}
	mounts.SetRecorded(declared)
	for key := range keyclass.Tables {
		var table struct {
			Entries []struct {
				UUID, Path, Type string
				Local            bool
				// RunningSHA256 is that of an external plugin's program.
				RunningSHA256 string `json:"running_sha256"`
			}
		}
		if err := readRaw(ctx, client, key, &table); err != nil {
			return nil, err
		}
		var entries []vaultname.Mount
		for _, e := range table.Entries {
			entries = append(entries, vaultname.Mount{UUID: e.UUID, Path: e.Path, Type: e.Type, Local: e.Local,
				External: e.RunningSHA256 != ""})
		}
		if _, err := mounts.SetTable(key, entries); err != nil {
			return nil, err
		}
	}
	return mounts, nil
}

// readRaw reads JSON from below the barrier; what is not there leaves out as it is.
func readRaw(ctx context.Context, client *api.Client, key string, out any) error {
	secret, err := client.Logical().ReadWithContext(ctx, "sys/raw/"+key)
	if err != nil || secret == nil {
		return err
	}
	text, ok := secret.Data["value"].(string)
	if !ok {
		return fmt.Errorf("sys/raw has no text at %s", key)
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("%s cannot be read: %w", key, err)
	}
	return nil
}

// Keys are all keys in order.
func (s *Store) Keys() []string { return slices.Sorted(maps.Keys(s.Values)) }

// Mounted counts the keys of each kind and type of mount, such as "logical/kv".
// "logical/pki certs/" counts its local part too, "logical/kv local" its local mounts.
func (s *Store) Mounted() map[string]int {
	count := map[string]int{}
	for key := range s.Values {
		view, ok := s.Classes.Mounts().View(key)
		if !ok {
			continue
		}
		kind, _, _ := strings.Cut(view.Prefix, "/")
		name := kind + "/" + view.Type
		count[name]++
		if view.Local {
			count[name+" local"]++
		}
		for _, prefix := range view.LocalPrefixes {
			if prefix != "" && strings.HasPrefix(key, view.Prefix+prefix) {
				count[name+" "+prefix]++
			}
		}
	}
	return count
}

// Decided counts the keys that each row of the table of keys has decided, by the row's key.
func (s *Store) Decided() map[string]int {
	count := map[string]int{}
	for key := range s.Values {
		longest := -1
		for i, row := range keyclass.Rows {
			if key == row.Key {
				longest = i
				break
			}
			if row.Prefix && strings.HasPrefix(key, row.Key) && (longest < 0 || len(row.Key) > len(keyclass.Rows[longest].Key)) {
				longest = i
			}
		}
		if longest >= 0 {
			count[keyclass.Rows[longest].Key]++
		}
	}
	return count
}
