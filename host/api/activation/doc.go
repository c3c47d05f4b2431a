// SPDX-License-Identifier: MPL-2.0

// Package activation carries an activation from a primary to the cluster that
// joins it.
//
// On the primary, [Payload.Seal] makes the data that Vault's core wraps into a
// JSON web token (response wrapping, format "jwt"). On the joining cluster,
// [Parse] checks the token and [Client.Fetch] exchanges it, once, for the
// payload.
//
// The joining cluster cannot verify the token's signature: the key is the
// primary's. Nothing in the token is therefore trusted with the token itself:
// the address in it is used over verified TLS only, and an address without TLS
// has to be given by the operator. Before the token is spent, a look-up that
// does not spend it says which mode it was made for.
package activation
