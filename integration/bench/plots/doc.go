// SPDX-License-Identifier: MPL-2.0

// Package plots draws series of figures as SVG, the same bytes for the same numbers.
package plots
