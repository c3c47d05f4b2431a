// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"reflect"

	"github.com/armon/go-radix"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/vault"
)

var (
	routerType     = reflect.TypeOf(vault.Router{})
	mountEntryType = reflect.TypeOf(vault.MountEntry{})
	routeEntryType = probeRouteEntry()
)

// routingExpectations are the fields behind the seams of routing.go.
var routingExpectations = []expectation{
	{coreType, "router", "*vault.Router"},
	{coreType, "auditBroker", "*audit.Broker"},
	{coreType, "standby", "bool"},
	{coreType, "inFlightReqData", "*vault.InFlightRequests"},
	{routerType, "l", "sync.RWMutex"},
	{routerType, "root", "*radix.Tree"},
	{mountEntryType, "namespace", "*namespace.Namespace"},
	{routeEntryType, "l", "sync.RWMutex"},
	{routeEntryType, "backend", "logical.Backend"},
	{routeEntryType, "mountEntry", "*vault.MountEntry"},
	{routeEntryType, "storagePrefix", "string"},
	{routeEntryType, "storageView", "logical.Storage"},
	{routeEntryType, "tainted", "atomic.Bool"},
}

// probeRouteEntry finds the type of the router's entries, which Vault does not
// export and no exported type names, by mounting nothing in a router of its own.
// When that is not possible the type is one that the expectations refuse.
func probeRouteEntry() (found reflect.Type) {
	defer func() {
		if recover() != nil {
			found = reflect.TypeOf(struct{}{})
		}
	}()
	const path = "probe/"
	entry := &vault.MountEntry{UUID: "probe", Accessor: "probe"}
	*field[*namespace.Namespace](entry, "namespace") = namespace.RootNamespace
	router := vault.NewRouter()
	if err := router.Mount(nil, path, entry, vault.NewBarrierView(nil, path)); err != nil {
		panic(err)
	}
	raw, _ := (*field[*radix.Tree](router, "root")).Get(path)
	return reflect.TypeOf(raw).Elem()
}
