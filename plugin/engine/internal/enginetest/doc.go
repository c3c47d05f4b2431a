// SPDX-License-Identifier: MPL-2.0

// Package enginetest is a host in memory for tests of the engine: a map as the
// content, a list as the journal, and a network of pipes with real TLS on them.
// It keeps the promises of replication.Host literally, counts what was asked of
// it, and can fail on demand.
//
// It uses nothing but channels and the standard clock, so that tests can run it
// in a testing/synctest bubble.
package enginetest
