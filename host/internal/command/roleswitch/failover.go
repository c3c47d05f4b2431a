// SPDX-License-Identifier: MPL-2.0

package roleswitch

import (
	"context"
	"fmt"
	"time"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// Failover makes To the primary without its primary.
type Failover struct {
	Mode string
	To   Side
	// Primary is the last known primary, or nil. If it answers as one, the failover is refused.
	Primary *view.Cluster
	// Force promotes even if something is lost or two clusters may be primary afterwards.
	Force bool
	// Limit bounds the wait of each step.
	Limit time.Duration
	// Report is called as each step begins.
	Report func(Step)
}

// Run promotes To, unless it is primary already, and says what to do with the old primary.
func (f *Failover) Run(ctx context.Context) error {
	err := f.promote(ctx)
	if err == nil && f.Report != nil {
		f.Report(f.next())
	}
	return err
}

func (f *Failover) promote(ctx context.Context) error {
	s := &Switchover{Mode: f.Mode, To: f.To, Limit: f.Limit, Report: f.Report}
	to := view.Ask(ctx, f.To.Client)
	if to.Error == "" && !to.Sealed && to.Of(f.Mode).Role == view.Primary {
		s.report("promote", to.Address, "it is the primary")
		return nil
	}
	plan := MakePlan(f.Mode, to, f.Primary, time.Now())
	if plan.PrimaryAlive {
		plan.unsafe("the primary %s is alive: use switchover, which loses nothing", f.Primary.Address)
	}
	if len(plan.Reasons) > 0 && (!f.Force || to.Error != "" || to.Sealed || to.Of(f.Mode).Role != view.Secondary) {
		return &Unsafe{Plan: plan}
	}
	s.report("check", to.Address, "%s", plan.loss())
	s.report("promote", to.Address, "without its primary")
	var params map[string]any
	if f.Force {
		params = map[string]any{"force": true}
	}
	return s.makePrimary(ctx, f.To, params)
}

// loss says in a sentence what is lost.
func (p *Plan) loss() string {
	switch {
	case p.Entries != nil && *p.Entries == 0:
		return "it has all that the primary had"
	case p.Entries != nil:
		return fmt.Sprintf("at most %d entries are lost", *p.Entries)
	case p.Seconds != nil:
		return fmt.Sprintf("what the primary wrote in its last moments is lost; %.1f s ago it was where this cluster is",
			*p.Seconds)
	default:
		return "the primary cannot be asked, so how much is lost is not known"
	}
}
