// SPDX-License-Identifier: MPL-2.0

// Package deploy holds what an operator deploys with: a unit, an image, values for Kubernetes, configurations of two
// regions, Terraform. Its tests check the form; what can run is run by the tests in integration.
package deploy
