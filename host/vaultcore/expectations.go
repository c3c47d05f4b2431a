// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/cluster"
)

// expectation names one unexported field and the type it must have.
type expectation struct {
	owner reflect.Type
	field string
	typ   string
}

var (
	coreType     = reflect.TypeOf(vault.Core{})
	barrierType  = reflect.TypeOf(vault.AESGCMBarrier{})
	listenerType = reflect.TypeOf(cluster.Listener{})
	raftType     = reflect.TypeOf(raft.RaftBackend{})
)

// expectations are all fields that this package reads or writes.
var expectations = slices.Concat(coreExpectations, routingExpectations, followExpectations, identityExpectations, pluginExpectations)

var coreExpectations = []expectation{
	{coreType, "barrier", "vault.SecurityBarrier"},
	{coreType, "physical", "physical.Backend"},
	{coreType, "underlyingPhysical", "physical.Backend"},
	{coreType, "seal", "vault.Seal"},
	{coreType, "ha", "physical.HABackend"},
	{coreType, "heldHALock", "physical.Lock"},
	{coreType, "replicationState", "*uint32"},
	{coreType, "stateLock", "locking.RWMutex"},
	{coreType, "activeContext", "context.Context"},
	{coreType, "activeContextCancelFunc", "*atomic.Value"},
	{coreType, "logicalBackends", "map[string]logical.Factory"},
	{coreType, "credentialBackends", "map[string]logical.Factory"},
	{coreType, "postUnsealFuncs", "[]func()"},
	{coreType, "clusterListener", "*atomic.Value"},
	{coreType, "clusterNetworkLayer", "cluster.NetworkLayer"},
	{coreType, "clusterListenerAddrs", "[]*net.TCPAddr"},
	{listenerType, "shutdownWg", "*sync.WaitGroup"},
	{coreType, "tokenStore", "*vault.TokenStore"},
	{coreType, "redirectAddr", "string"},
	{coreType, "policyStore", "*vault.PolicyStore"},
	{barrierType, "backend", "physical.Backend"},
	{raftType, "dataDir", "string"},
	{raftType, "maxEntrySize", "uint64"},
}

// checkExpectations compares expectations with the types that are linked in.
func checkExpectations(want []expectation) error {
	var wrong []string
	for _, e := range want {
		f, ok := e.owner.FieldByName(e.field)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s has no field %q", e.owner, e.field))
		case f.Type.String() != e.typ:
			wrong = append(wrong, fmt.Sprintf("%s.%s is a %s, not a %s", e.owner, e.field, f.Type, e.typ))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("this build of Vault is not the one that replication was made for (%s): use the version of Vault that this release names", strings.Join(wrong, "; "))
}
