// SPDX-License-Identifier: MPL-2.0

package routing

import "github.com/hashicorp/vault/sdk/logical"

// rule says how a wrapped backend treats an operation.
type rule struct {
	op logical.Operation
	// forward: the primary is asked when the guard refuses the write.
	forward bool
	// writes: its purpose is to change something. So if the guard refused a write during
	// it, a success does not count.
	writes bool
	why    string
}

// rules are all operations that reach a backend. An operation that is not here stays local.
var rules = []rule{
	{logical.CreateOperation, true, true, "a client's write"},
	{logical.UpdateOperation, true, true, "a client's write; logins are updates too, and some write (use counts, " +
		"tidying of a secret id)"},
	{logical.PatchOperation, true, true, "a client's write"},
	{logical.DeleteOperation, true, true, "a client's write"},
	{logical.RecoverOperation, true, true, "a client's write of what a snapshot held"},
	{logical.ReadOperation, true, false, "some reads must write: dynamic credentials leave a record for their roll-back " +
		"first"},
	{logical.ListOperation, true, false, "as a read"},
	{logical.RenewOperation, true, true, "of a lease of this cluster; the engine's record of it is shared"},
	{logical.RevokeOperation, true, true, "of a lease of this cluster; the engine's record of it is shared"},

	{logical.RollbackOperation, false, false, "carries the periodic jobs of the engine: forwarded, the primary would " +
		"run its jobs once more for each secondary"},
	{logical.RotationOperation, false, false, "a job of the primary's own rotation manager"},
	{logical.HelpOperation, false, false, "says what the code is"},
	{logical.HeaderOperation, false, false, "a read without a body"},
	{logical.AliasLookaheadOperation, false, false, "asked by the core before a login, of this cluster's lock-outs"},
	{logical.ResolveRoleOperation, false, false, "asked by the core before a login, for this cluster's quotas"},
}

// ruleOf returns the rule of an operation. Existence checks have none: they only read, and
// do not come as an operation.
func ruleOf(op logical.Operation) rule {
	for _, r := range rules {
		if r.op == op {
			return r
		}
	}
	return rule{op: op, why: "unknown"}
}
