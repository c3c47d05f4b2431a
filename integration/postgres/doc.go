// SPDX-License-Identifier: MPL-2.0

// Package postgres runs a real PostgreSQL server from the system's packages in a
// temporary folder, for tests of dynamic database credentials.
package postgres
