// SPDX-License-Identifier: MPL-2.0

// Package differential sends one list of API requests to several servers and
// compares what they answer: stock Vault is the reference, this build in one of
// its roles the other side.
//
// A [Step] is one request as data, a [Section] the steps of one engine, in the
// order in which they are sent. A section is complete in itself: it mounts what
// it needs, so that it can be run alone. Each target gets the steps one after
// the other; read after write is asked for nearly everywhere.
//
// Two servers never answer byte for byte alike: ids, keys and times are made
// anew. What a step saves from an answer is replaced by its name wherever the
// target shows it again, so that it is still compared who refers to whom; other
// random values are known by their form and replaced by its name. Everything
// else is compared exactly: status, headers, structure, presence, types, counts
// and texts. What differs on purpose is in the table [Differences], each with
// the reason; an entry that no run needs any more is an error too.
package differential
