// SPDX-License-Identifier: MPL-2.0

package roleswitch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// Side is a cluster whose role is changed.
type Side struct {
	// Client has the address and a token that may use the paths of the switch.
	Client *api.Client
	// OperationToken permits the changes of a DR secondary. It is empty in performance mode.
	OperationToken string
}

// Switchover makes To the primary in place of From, which then follows To.
type Switchover struct {
	Mode     string
	From, To Side
	// RejoinID is the id under which From follows. By default it is the name of the cluster, or the first
	// of name-2, name-3 and so on that is free.
	RejoinID string
	// Rejoin are further parameters of update-primary on From, such as ca_file.
	Rejoin map[string]any
	// Limit bounds the wait of each step.
	Limit time.Duration
	// Report is called as each step begins.
	Report func(Step)
}

// Step is something that a switch does, or has found done.
type Step struct {
	// Name is "check", "demote", "wait", "promote", "rejoin" or "next".
	Name string `json:"step"`
	// Cluster is the one that it is about.
	Cluster string `json:"cluster"`
	// Text says it in a sentence.
	Text string `json:"text"`
	// Commands are for the operator, in their order.
	Commands []string `json:"commands,omitempty"`
}

// stage is how far a switchover is.
type stage int

const (
	// begun: From is the primary and To its secondary.
	begun stage = iota
	// demoted: From has given the role up, nobody has it.
	demoted
	// promoted: To is the primary, From does not follow it yet.
	promoted
	// following: From follows To, and may still be catching up.
	following
)

// Run carries out the switch from where it is.
func (s *Switchover) Run(ctx context.Context) error {
	for {
		from, to := view.Ask(ctx, s.From.Client), view.Ask(ctx, s.To.Client)
		at, err := s.stage(from, to)
		if err != nil {
			return err
		}
		switch at {
		case begun:
			err = s.demote(ctx, from, to)
		case demoted:
			err = s.promote(ctx)
		case promoted:
			err = s.rejoin(ctx, from, to)
		case following:
			return s.caughtUp(ctx, to)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Switchover) report(name, cluster, format string, args ...any) {
	if s.Report != nil {
		s.Report(Step{Name: name, Cluster: cluster, Text: fmt.Sprintf(format, args...)})
	}
}

// stage says how far the switch is. It refuses pairs that no switch leads to.
func (s *Switchover) stage(from, to *view.Cluster) (stage, error) {
	for _, c := range []*view.Cluster{from, to} {
		switch {
		case c.Error != "":
			return 0, fmt.Errorf("%s cannot be asked, nothing was changed: %s", c.Address, c.Error)
		case c.Sealed:
			return 0, fmt.Errorf("%s is sealed: unseal it first, nothing was changed", c.Address)
		}
	}
	was, is := from.Of(s.Mode), to.Of(s.Mode)
	if was.SetID != is.SetID || was.SetID == "" {
		return 0, fmt.Errorf("%s and %s are not of one %s replication set: check both addresses", from.Address, to.Address,
			s.Mode)
	}
	switch [2]string{was.Role, is.Role} {
	case [2]string{view.Primary, view.Secondary}:
		return begun, nil
	case [2]string{view.Secondary, view.Secondary}:
		if follows(was, nil) {
			return 0, fmt.Errorf("%s is a secondary and follows %s: give the address of the primary", from.Address,
				was.Primaries[0].APIAddress)
		}
		return demoted, nil
	case [2]string{view.Secondary, view.Primary}:
		if follows(was, to) {
			return following, nil
		}
		return promoted, nil
	case [2]string{view.Primary, view.Primary}:
		return 0, fmt.Errorf("%s and %s are both primary: decide which one is right and demote the other; its own writes "+
			"are not merged, only kept",
			from.Address, to.Address)
	}
	return 0, fmt.Errorf("the %s mode of %s is %q and that of %s is %q: a switch is between a primary and its secondary",
		s.Mode, from.Address, was.Role, to.Address, is.Role)
}

// follows says whether a secondary has its session with this primary, or with any if it is nil.
func follows(secondary *view.Mode, primary *view.Cluster) bool {
	for _, p := range secondary.Primaries {
		if p.Connected() && (primary == nil || p.APIAddress == primary.Active || p.APIAddress == primary.Address) {
			return true
		}
	}
	return false
}

// settleLimit is how long a pair may take to become fit for a switch. A demotion takes up to fifteen seconds, during
// which the primary still says that it is one.
const settleLimit = 20 * time.Second

// demote checks that To can take the role over without a loss, and then takes it from From.
func (s *Switchover) demote(ctx context.Context, from, to *view.Cluster) error {
	plan := s.fit(from, to)
	for end := time.Now().Add(min(settleLimit, s.Limit)); !plan.Safe && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(pollPause)
		from, to = view.Ask(ctx, s.From.Client), view.Ask(ctx, s.To.Client)
		if at, err := s.stage(from, to); err != nil || at != begun {
			return err
		}
		plan = s.fit(from, to)
	}
	if !plan.Safe {
		return &Unsafe{Plan: plan}
	}
	s.report("check", to.Address, "it streams from %s and is %d entries behind", from.Address, *plan.Entries)
	s.report("demote", from.Address, "from now on nobody can write")
	if err := s.write(ctx, s.From, "primary/demote", nil); err != nil {
		return err
	}
	return s.until(ctx, s.From, "it is a secondary", s.given)
}

// fit is the plan for a pair that is to stream too.
func (s *Switchover) fit(from, to *view.Cluster) *Plan {
	plan := MakePlan(s.Mode, to, from, time.Now())
	if own := to.Of(s.Mode); plan.Safe && own.State != view.Streaming {
		plan.unsafe("%s does not stream (%s): %s", to.Address, own.State, own.LastError)
		plan.Safe = false
	}
	return plan
}

// given says whether the former primary has given the role up and knows its last sequence. For a moment it does not
// know it, while it opens its storage in the new role.
func (s *Switchover) given(c *view.Cluster) bool {
	m := c.Of(s.Mode)
	return m.Role == view.Secondary && m.LastRemoteWAL > 0 && m.MerkleRoot != "" && c.Active != ""
}

// promote waits until To has all that From has, and then gives it the role.
func (s *Switchover) promote(ctx context.Context) error {
	if err := s.until(ctx, s.From, "it knows up to where it has written", s.given); err != nil {
		return err
	}
	from := view.Ask(ctx, s.From.Client)
	last := from.Of(s.Mode)
	to := s.To.Client.Address()
	what := fmt.Sprintf("it has everything up to %d", last.LastRemoteWAL)
	s.report("wait", to, "until %s", what)
	if err := s.until(ctx, s.To, what, func(c *view.Cluster) bool { return s.hasAll(c.Of(s.Mode), last) }); err != nil {
		return fmt.Errorf("%w. Nothing is primary now: run this again, or give %s the role back with %s/promote", err,
			from.Address, s.path("secondary"))
	}
	s.report("promote", to, "it has all that %s has", from.Address)
	return s.makePrimary(ctx, s.To, nil)
}

// hasAll compares a secondary with a demoted primary. In DR mode both have the same keys, so their roots must be equal.
// In performance mode a paths filter may hide some.
func (s *Switchover) hasAll(is, last *view.Mode) bool {
	return is.Consistent && is.LastRemoteWAL >= last.LastRemoteWAL &&
		(s.Mode != view.DR || is.MerkleRoot == last.MerkleRoot)
}

// rejoin lets From follow To.
func (s *Switchover) rejoin(ctx context.Context, from, to *view.Cluster) error {
	id := freeID(s.RejoinID, from.Name, to.Of(s.Mode).KnownSecondaries)
	s.report("rejoin", from.Address, "it follows %s as %q", to.Address, id)
	secret, err := s.To.Client.Logical().WriteWithContext(ctx, s.path("primary")+"/secondary-token",
		map[string]any{"id": id})
	if err != nil {
		return Refused(to.Address, "secondary-token", err)
	}
	if secret == nil || secret.WrapInfo == nil {
		return fmt.Errorf("%s answered secondary-token without a wrapped token: run this again", to.Address)
	}
	params := map[string]any{"token": secret.WrapInfo.Token}
	maps.Copy(params, s.Rejoin)
	if err := s.write(ctx, s.From, "secondary/update-primary", params); err != nil {
		return err
	}
	return s.until(ctx, s.From, "it follows "+to.Address, func(c *view.Cluster) bool {
		return follows(c.Of(s.Mode), to)
	})
}

// caughtUp waits until From streams from To.
func (s *Switchover) caughtUp(ctx context.Context, to *view.Cluster) error {
	return s.until(ctx, s.From, "it has caught up with "+to.Address, func(c *view.Cluster) bool {
		own := c.Of(s.Mode)
		return own.State == view.Streaming && own.Consistent
	})
}

// freeID is the id that was asked for, or the first of name, name-2, name-3 and so on that is free.
func freeID(asked, name string, taken []string) string {
	if asked != "" {
		return asked
	}
	name = cmp.Or(name, "former-primary")
	id := name
	for n := 2; slices.Contains(taken, id); n++ {
		id = fmt.Sprintf("%s-%d", name, n)
	}
	return id
}
