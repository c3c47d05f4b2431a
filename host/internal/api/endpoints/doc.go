// SPDX-License-Identifier: MPL-2.0

// Package endpoints puts the replication API into Vault's system backend.
//
// Vault registers a stub for nearly every path below sys/replication/, with its
// rules for sudo and for requests without a token. [Decorate] replaces the
// stubs' operations, so that access control, auditing, response wrapping, help,
// OpenAPI and forwarding from standbys are Vault's own.
//
// What the endpoints need of the core comes through [Controller]; the words and
// the types of requests and answers are those of Vault's documentation.
package endpoints
