// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/vault-replication/vault-replication/integration/bench/figures"

// The names of the rows, which stay the same over all runs.
const (
	idWrites1        = "writes-1"
	idWrites16       = "writes-16"
	idWrites64       = "writes-64"
	idCPU            = "processor-time"
	idDRLag          = "dr-lag"
	idFirstCopy      = "first-copy"
	idRaftCopy       = "raft-copy"
	idRaftWrites     = "raft-writes"
	idPostgreSQL     = "postgresql-lag"
	idSnapshot       = "snapshot"
	idPromotion      = "promotion"
	idPromotionThree = "promotion-three-nodes"
	idReads          = "reads"
	idTransit        = "transit"
	idForwarded      = "forwarded-write"
	idLogin          = "login"
	idLag            = "performance-lag"
	idCatchUp        = "catch-up"
	idLagDuringCopy  = "performance-lag-during-copy"
	idForwardedFar   = "forwarded-writes-200ms"
)

// goals are the targets of the rows that have any.
var goals = map[string][]figures.Goal{
	idWrites1:        {figures.RatioAtLeast(1.0)},
	idWrites16:       {figures.RatioAtLeast(1.15)},
	idWrites64:       {figures.RatioAtLeast(1.15)},
	idCPU:            {figures.RatioAtMost(1.08)},
	idDRLag:          {figures.TimeAtMost("p50", 0.003), figures.TimeAtMost("p99", 0.015)},
	idFirstCopy:      {figures.RateAtLeast(45_000)},
	idPromotion:      {figures.TimeAtMost("", 0.5)},
	idPromotionThree: {figures.TimeAtMost("", 2)},
	idReads:          {figures.RatioAtLeast(0.98)},
	idTransit:        {figures.RatioAtLeast(0.98)},
	idForwarded:      {figures.RatioAtMost(1.5)},
	idLogin:          {figures.RatioAtMost(1.5)},
	idLag:            {figures.TimeAtMost("p50", 0.002), figures.TimeAtMost("p99", 0.010)},
	idCatchUp:        {figures.RateAtLeast(40_000)},
	idLagDuringCopy:  {figures.TimeAtMost("p50", 0.004), figures.TimeAtMost("p99", 0.025)},
	idForwardedFar:   {figures.RateAtLeast(5_000)},
}
