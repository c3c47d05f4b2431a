// SPDX-License-Identifier: MPL-2.0

// Package roleswitch moves the role of primary from one cluster to another over the public
// API. A [Switchover] is for two clusters that are both alive: it demotes one, waits until
// the other one has all, promotes that, and lets the first follow. A [Failover] promotes
// without the old primary.
//
// Nothing is remembered between two runs. The status of the clusters decides which step comes next. So a switch that
// was interrupted goes on when it is run again with the same arguments. It never promotes while the other cluster may
// still be primary, and never before everything has arrived. If it cannot reach that, it stops, says why and what to
// do, and leaves the clusters as they are.
package roleswitch
