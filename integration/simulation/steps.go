// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Steps of the storage at which a process can end. A write has the name of the
// most telling row in it.
const (
	stepCommit = "commit of data with its journal row"
	stepRow    = "journal row ahead of its data"
	stepData   = "data"
	stepHead   = "head of the journal"
	stepFence  = "fence of a term"
	stepSlot   = "slot"
	stepDelete = "deletion of journal rows"
	stepFrame  = "applied data with the cursor"
	stepCursor = "cursor"
	stepState  = "record of the plugin"
	stepIndex  = "rows of the index"
	stepOther  = "other"
)

// everyStep are all of them.
var everyStep = []string{stepCommit, stepRow, stepData, stepHead, stepFence, stepSlot, stepDelete, stepFrame,
	stepCursor, stepState, stepIndex, stepOther}

// came notes the steps that the nodes have come to.
func (r *run) came() {
	s := r.steps
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	for _, n := range r.nodes() {
		n.disk.mu.Lock()
		for step := range n.disk.steps {
			s.seen[stepName(n.role, step, false)] = true
		}
		n.disk.mu.Unlock()
	}
}

// stepsOf are the steps that a node of a role comes to.
func stepsOf(role replication.Role, txn bool) []string {
	switch {
	case role == replication.Primary && txn:
		return []string{stepCommit, stepCommit, stepHead, stepFence, stepSlot, stepDelete, stepState, stepIndex, stepRow,
			stepData}
	case role == replication.Primary:
		return []string{stepRow, stepData, stepHead, stepFence, stepSlot, stepDelete, stepState, stepIndex}
	case txn:
		return []string{stepFrame, stepFrame, stepData, stepCursor, stepState, stepIndex}
	default:
		return []string{stepData, stepCursor, stepState, stepIndex}
	}
}

// callsOf are the calls that a plugin in a role makes: the steps at which it can end.
func callsOf(role replication.Role) []string {
	if role == replication.Primary {
		return []string{"GetState", "ListState", "PutState", "Listen", "Position", "OpenSlot", "AckSlot", "ReadJournal",
			"Next", "ReadRange"}
	}
	return []string{"GetState", "PutState", "Dial", "Cursor", "BeginCopy", "ApplyRange", "EndCopy", "ApplyFrame",
		"ApplyFrame"}
}

// What runs must come to, beside the steps: the most of all runs.
const (
	manyRanges  = "ranges of an index"
	manyBlocks  = "blocks of a stored index"
	slotsLost   = "slots given up for their cap"
	reservation = "reservations of numbers, without those of the beginnings and ends of terms"
)

// What must come often enough over ten thousand runs.
const (
	lateLandings = "writes that took effect after they had failed"
	lateRuns     = "runs in which failed writes may take effect later"
	deposed      = "times that a node led beside a former leader"
	lateLeader   = "writes of former leaders"
	rounds       = "runs with a former leader that only the comparison of the index has mended"
	epochs       = "epochs that began because of a former leader"
	performing   = "runs in performance mode"
	filtering    = "secondaries whose paths filter changes"
)

// often is how often each must come.
var often = map[string]int{
	lateLandings: 1000, lateRuns: 1000, performing: 1500, filtering: 1000, mounted: 2000, unmounted: 500, madeLocal: 500,
	deposed: 600, lateLeader: 5000, epochs: 50, declaredSome: 200, filterSet: 800, keyWritten: 500,
}

// drawn counts what the seed has drawn.
func (r *run) drawn() {
	if r.plan.late {
		r.sums(lateRuns)
	}
	if r.plan.mounts == nil {
		return
	}
	r.sums(performing)
	for _, filtered := range r.plan.mounts.filtered {
		if filtered {
			r.sums(filtering)
		}
	}
}

// enough is how many of each there must be in some run.
var enough = map[string]int{manyRanges: 40, manyBlocks: 3, slotsLost: 1, reservation: 5}

// Steps counts where processes were ended, over all runs, and what runs came to.
type Steps struct {
	mu    sync.Mutex
	count map[string]int
	most  map[string]int
	sum   map[string]int
	seen  map[string]bool // steps that a node of a role has come to
}

// sums notes that something has come, over all runs.
func (r *run) sums(what string) {
	s := r.steps
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sum == nil {
		s.sum = map[string]int{}
	}
	s.sum[what]++
}

// reach notes that a run has come to something.
func (r *run) reach(what string, n int) {
	s := r.steps
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most == nil {
		s.most = map[string]int{}
	}
	s.most[what] = max(s.most[what], n)
}

func (s *Steps) add(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = map[string]int{}
	}
	s.count[step]++
}

// Missing are the steps that no process was ended at, before and after, and what no run
// has come to.
func (s *Steps) Missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []string
	for _, role := range []replication.Role{replication.Primary, replication.Secondary} {
		names := slices.Concat(stepsOf(role, true), stepsOf(role, false), callsOf(role))
		for _, name := range everyStep {
			if s.seen[stepName(role, name, false)] {
				names = append(names, name) // whether or not a process is meant to end there
			}
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			for _, after := range []bool{false, true} {
				if full := stepName(role, name, after); s.count[full] == 0 {
					missing = append(missing, full)
				}
			}
		}
	}
	for what, n := range often {
		if s.sum[what] < n {
			missing = append(missing, fmt.Sprintf("%d %s, there were %d", n, what, s.sum[what]))
		}
	}
	if s.sum[rounds]*20 > s.sum[deposed] {
		missing = append(missing, fmt.Sprintf("that rows tell of a former leader: %d times of %d the index had to",
			s.sum[rounds], s.sum[deposed]))
	}
	for what, n := range enough {
		if s.most[what] < n {
			missing = append(missing, fmt.Sprintf("%d %s, there were %d", n, what, s.most[what]))
		}
	}
	return missing
}

// WriteTo prints the counts.
func (s *Steps) WriteTo(w io.Writer) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var total int64
	for _, name := range slices.Sorted(maps.Keys(s.count)) {
		n, err := fmt.Fprintf(w, "%6d %s\n", s.count[name], name)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	for _, counts := range []map[string]int{s.sum, s.most} {
		for _, what := range slices.Sorted(maps.Keys(counts)) {
			n, err := fmt.Fprintf(w, "%6d %s\n", counts[what], what)
			total += int64(n)
			if err != nil {
				return total, err
			}
		}
	}
	if len(s.count) > 0 {
		least := slices.MinFunc(slices.Sorted(maps.Keys(s.count)), func(a, b string) int { return s.count[a] - s.count[b] })
		n, err := fmt.Fprintf(w, "the rarest step: %s, %d times\n", least, s.count[least])
		return total + int64(n), err
	}
	return total, nil
}

func stepName(role replication.Role, step string, after bool) string {
	if after {
		return fmt.Sprintf("%s, after %q", role, step)
	}
	return fmt.Sprintf("%s, before %q", role, step)
}

// reached notes that a process has been ended at a step.
func (r *run) reached(n *node, t *trap) {
	if r.steps != nil {
		r.steps.add(stepName(n.role, t.step, t.after))
	}
}

func stepOf(changes []change) string {
	var row, data, cursor, index bool
	for _, c := range changes {
		switch key := c.key; {
		case strings.HasPrefix(key, "wal/logs/"):
			if c.value == nil {
				return stepDelete
			}
			row = true
		case key == "replication/journal/head":
			return stepHead
		case key == "replication/journal/fence":
			return stepFence
		case strings.HasPrefix(key, "replication/") && strings.Contains(key, "/slots/"):
			return stepSlot
		case strings.HasPrefix(key, "replication/") && strings.HasSuffix(key, "/cursor"):
			cursor = true
		case strings.HasPrefix(key, statePrefix):
			return stepState
		case isIndex(key):
			index = true
		default:
			data = true
		}
	}
	switch {
	case row && data:
		return stepCommit
	case row:
		return stepRow
	case cursor && data:
		return stepFrame
	case cursor:
		return stepCursor
	case data:
		return stepData
	case index:
		return stepIndex
	default:
		return stepOther
	}
}
