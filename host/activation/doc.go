// SPDX-License-Identifier: MPL-2.0

// Package activation carries an activation from a primary to the cluster that joins it.
//
// On the primary, [Payload.Seal] makes the data that Vault's core wraps into a JSON web
// token (response wrapping, format "jwt"). On the joining cluster, [Parse] checks the
// token, and [Client.Fetch] exchanges it for the payload, once.
//
// The joining cluster cannot verify the token's signature, because the primary has the key.
// So nothing that the token says is trusted with the token. Its address is used over
// verified TLS alone; an address without TLS has to come from the operator. A look-up that
// does not spend the token tells first which mode it was made for.
package activation
