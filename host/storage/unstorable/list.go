// SPDX-License-Identifier: MPL-2.0

package unstorable

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/shared/strictjson"
)

const (
	// KeysMax and bytesMax bound the number of keys in a List and the size of their names, because every storage must
	// accept the record. Keys past them are only counted, and a comparison finds them again.
	KeysMax  = 256
	bytesMax = 32 << 10
)

var stored = strictjson.Record{Name: "the list of missing keys", Version: 1, Max: 256 << 10, Open: true}

// List is the keys that a secondary lacks because its storage refuses them. The zero
// value is empty. It is not safe for concurrent use.
type List struct {
	keys  []Key // sorted
	bytes int
	more  uint64
}

// Key is one missing key.
type Key struct {
	Key string
	Refusal
}

// Len is how many keys are missing. Those past the bounds may be counted more than once.
func (l *List) Len() uint64 { return uint64(len(l.keys)) + l.more }

// More is how many refusals were only counted.
func (l *List) More() uint64 { return l.more }

// Keys are the keys that are known by name, in order. They must not be changed.
func (l *List) Keys() []Key { return l.keys }

// Has says whether a key is known to be missing.
func (l *List) Has(key string) bool {
	_, ok := l.find(key)
	return ok
}

func (l *List) find(key string) (int, bool) {
	return slices.BinarySearchFunc(l.keys, key, func(k Key, key string) int { return strings.Compare(k.Key, key) })
}

// Add notes a key that the storage has refused. isNew says that the list did not have it.
func (l *List) Add(key string, r Refusal) (isNew bool) {
	i, ok := l.find(key)
	switch {
	case ok:
		l.keys[i].Refusal = r
		return false
	case len(l.keys) >= KeysMax || l.bytes+len(key) > bytesMax:
		l.more++
	default:
		l.keys = slices.Insert(l.keys, i, Key{key, r})
		l.bytes += len(key)
	}
	return true
}

// Count notes refusals of keys that are not known by name.
func (l *List) Count(n uint64) { l.more += n }

// Remove removes a key that was written or deleted.
func (l *List) Remove(key string) bool {
	i, ok := l.find(key)
	if ok {
		l.bytes -= len(key)
		l.keys = slices.Delete(l.keys, i, i+1)
	}
	return ok
}

// Clone is a copy.
func (l *List) Clone() *List { return &List{slices.Clone(l.keys), l.bytes, l.more} }

// record is the stored form. Names of keys are bytes, because they need not be text.
type record struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys,omitempty"`
	More    uint64      `json:"more,omitempty"`
}

type storedKey struct {
	Key []byte `json:"key"`
	Refusal
}

// Encode is the stored form.
func (l *List) Encode() ([]byte, error) {
	r := record{Version: stored.Version, More: l.more}
	for _, k := range l.keys {
		r.Keys = append(r.Keys, storedKey{[]byte(k.Key), k.Refusal})
	}
	return json.Marshal(r)
}

// Decode reads the stored form.
func Decode(b []byte) (*List, error) {
	var r record
	if err := stored.Decode(b, &r); err != nil {
		return nil, err
	}
	if len(r.Keys) > KeysMax {
		return nil, fmt.Errorf("%s has %d keys, and %d are possible", stored.Name, len(r.Keys), KeysMax)
	}
	l := &List{more: r.More}
	for _, k := range r.Keys {
		l.Add(string(k.Key), k.Refusal)
	}
	return l, nil
}

// Describe says what is missing, for readers who may not see names. It groups the keys by the result of area and by the
// refusal, and names the largest size of each group. It is empty if nothing is missing.
func (l *List) Describe(area func(key string) string) string {
	type kind struct {
		area    string
		why     Why
		limit   int
		setting string
	}
	largest := map[kind]Refusal{}
	count := map[kind]int{}
	var order []kind
	for _, k := range l.keys {
		of := kind{area(k.Key), k.Why, k.Limit, k.Setting}
		if count[of]++; count[of] == 1 {
			order = append(order, of)
		}
		if k.Size >= largest[of].Size {
			largest[of] = k.Refusal
		}
	}
	const kindsMax = 8
	var parts []string
	for _, of := range order[:min(len(order), kindsMax)] {
		parts = append(parts, fmt.Sprintf("%d of %s (%s)", count[of], of.area, largest[of]))
	}
	if n := len(order) - kindsMax; n > 0 {
		parts = append(parts, fmt.Sprintf("%d other kinds", n))
	}
	if l.more > 0 {
		parts = append(parts, fmt.Sprintf("about %d more", l.more))
	}
	return strings.Join(parts, ", ")
}
