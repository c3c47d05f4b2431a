// SPDX-License-Identifier: MPL-2.0

// Package telemetry turns the status of replication into metrics of Vault's own telemetry. Metrics that Vault's
// documentation has keep their names; the others are below vault.replication. Each has the label mode.
// docs/monitoring.md lists all of them with their units.
//
// Only the active node emits them, at the pace of Vault's own gauges. So a gauge vanishes together with its subject,
// such as a revoked secondary or a role that was given up.
package telemetry
