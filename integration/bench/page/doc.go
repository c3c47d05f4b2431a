// SPDX-License-Identifier: MPL-2.0

// Command page makes the tables of README.md and docs/benchmarks.md, and the plots, from the newest
// runs in docs/benchmarks. It is started in the top folder of the project, by `make bench`.
package main
