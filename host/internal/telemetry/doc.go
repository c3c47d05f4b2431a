// SPDX-License-Identifier: MPL-2.0

// Package telemetry turns the status of replication into the metrics of Vault's own
// telemetry. What Vault's documentation names has that name; the rest is below
// vault.replication. Each has the label mode. docs/monitoring.md lists all of them with their units.
//
// The active node alone emits them, at the pace of Vault's own gauges, so that they vanish
// with what they speak of: a secondary that was revoked, a role that was given up.
package telemetry
