// SPDX-License-Identifier: MPL-2.0

// Package commonv1 is the part of the wires that is the same on both.
package commonv1
