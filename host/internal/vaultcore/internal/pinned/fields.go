// SPDX-License-Identifier: MPL-2.0

package pinned

import (
	"reflect"
	"unsafe"

	"github.com/hashicorp/vault/helper/locking"
	"github.com/hashicorp/vault/vault"
)

// Field is a pointer to the unexported field of the struct that owner points
// to. Its type was compared by Check. A test finds names that are not in its list.
func Field[T any](owner any, name string) *T {
	v := reflect.ValueOf(owner).Elem().FieldByName(name)
	return (*T)(unsafe.Pointer(v.UnsafeAddr()))
}

// WithState runs f while the core can neither seal nor change its state.
func WithState(core *vault.Core, f func() error) error {
	lock := *Field[locking.RWMutex](core, "stateLock")
	lock.RLock()
	defer lock.RUnlock()
	return f()
}

// Place is where a string is in memory, nil for an empty one.
func Place(s string) *byte {
	if s == "" {
		return nil
	}
	return unsafe.StringData(s)
}
