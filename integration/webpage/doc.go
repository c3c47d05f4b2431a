// SPDX-License-Identifier: MPL-2.0

// Package webpage has a test alone: it starts pairs of clusters with TLS and lets a browser walk through Vault's web
// page on them (walk.mjs), through both modes, as an operator with a mouse does. make walk-ui runs it.
package webpage
