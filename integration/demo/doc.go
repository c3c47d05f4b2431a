// SPDX-License-Identifier: MPL-2.0

// Command demo shows a failover: two real servers, a DR secondary that fills up, a killed
// primary, a promotion, and an application's old token that still works. It prints every
// command as an operator would type it, runs it with the stock command line, and shows what
// came back. `make demo` builds and runs it.
package main
