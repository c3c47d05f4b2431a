// SPDX-License-Identifier: MPL-2.0

package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, fixed at 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// stat is one process: fields as in proc(5), counted from after the name.
type stat struct {
	parent int
	cpu    time.Duration
}

func readStat(pid int) (stat, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name is in brackets and may hold anything, blanks and brackets too.
	end := bytes.LastIndexByte(raw, ')')
	fields := strings.Fields(string(raw[end+1:]))
	if end < 0 || len(fields) < 13 {
		return stat{}, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, err
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return stat{}, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return stat{}, err
	}
	return stat{parent: parent, cpu: time.Duration(user+system) * time.Second / ticksPerSecond}, nil
}

// Tree is a process and all its descendants.
func Tree(root int) ([]int, error) {
	if _, err := readStat(root); err != nil {
		return nil, err
	}
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil {
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// TreeRSS is the resident memory of the tree in bytes, without mapped files.
func TreeRSS(root int) (uint64, error) { return sum(root, rss) }

// TreeCPU is the processor time used by the tree's living processes.
func TreeCPU(root int) (time.Duration, error) { return sum(root, cpu) }

func sum[T uint64 | time.Duration](root int, of func(pid int) (T, error)) (T, error) {
	tree, err := Tree(root)
	if err != nil {
		return 0, err
	}
	var total T
	for _, pid := range tree {
		one, err := of(pid)
		if errors.Is(err, os.ErrNotExist) {
			continue // ended meanwhile
		}
		if err != nil {
			return 0, err
		}
		total += one
	}
	return total, nil
}

func cpu(pid int) (time.Duration, error) {
	s, err := readStat(pid)
	return s.cpu, err
}

func rss(pid int) (uint64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 3 {
		return 0, fmt.Errorf("/proc/%d/statm is not understood", pid)
	}
	resident, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0, err
	}
	// Pages of mapped files are left out. Raft maps its database, which grows with the
	// content, and the kernel may drop it.
	mapped, err := strconv.ParseUint(fields[2], 10, 64)
	return (resident - min(mapped, resident)) * uint64(os.Getpagesize()), err
}
