// SPDX-License-Identifier: MPL-2.0

// Package operation changes the operations of a backend of Vault's core. Such a backend
// keeps its type, so the operations of its paths are all that can be replaced.
package operation

import "github.com/hashicorp/vault/sdk/framework"

// Around is an operation with the callback that wrap makes from the stock one. It keeps the properties, which the
// framework, the API's documentation and the help need. An operation without a callback stays without one.
func Around(h framework.OperationHandler,
	wrap func(stock framework.OperationFunc) framework.OperationFunc) framework.OperationHandler {
	return &around{OperationHandler: h, wrap: wrap}
}

type around struct {
	framework.OperationHandler
	wrap func(framework.OperationFunc) framework.OperationFunc
}

func (a *around) Handler() framework.OperationFunc {
	stock := a.OperationHandler.Handler()
	if stock == nil {
		return nil
	}
	return a.wrap(stock)
}

// Text is a field of a request, path and body alike, "" if there is none.
func Text(data *framework.FieldData, name string) string { return field[string](data, name) }

// Texts is a field of a request that has several strings, none if there is none.
func Texts(data *framework.FieldData, name string) []string { return field[[]string](data, name) }

// field is a field as its schema reads it, zero if there is none of that type.
func field[T any](data *framework.FieldData, name string) (zero T) {
	if data == nil || data.Schema[name] == nil {
		return zero
	}
	v, ok, err := data.GetOkErr(name)
	if !ok || err != nil {
		return zero
	}
	t, _ := v.(T)
	return t
}
