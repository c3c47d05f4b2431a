// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"reflect"
	"unsafe"
)

// field is a pointer to the unexported field of the struct that owner points
// to. Its type was compared by checkExpectations; a name outside of that list is
// a programming error that the tests find.
func field[T any](owner any, name string) *T {
	v := reflect.ValueOf(owner).Elem().FieldByName(name)
	return (*T)(unsafe.Pointer(v.UnsafeAddr()))
}
