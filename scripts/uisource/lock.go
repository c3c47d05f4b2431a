// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// lock is yarn's lock file: what it begins with, and an entry for each package by the versions that are asked for.
type lock struct {
	head    []string
	entries map[string]string
}

func parseLock(text string) lock {
	l := lock{entries: map[string]string{}}
	for part := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		part = strings.Trim(part, "\n")
		key, _, _ := strings.Cut(part, "\n")
		if strings.HasPrefix(key, "#") || strings.HasPrefix(key, "__metadata") {
			l.head = append(l.head, part)
			continue
		}
		l.entries[key] = part
	}
	return l
}

// String has the entries in yarn's order, which compares the file with its own byte by byte.
func (l lock) String() string {
	keys := slices.SortedFunc(maps.Keys(l.entries), func(a, b string) int {
		return strings.Compare(strings.Trim(a, `":`), strings.Trim(b, `":`))
	})
	parts := slices.Clone(l.head)
	for _, key := range keys {
		parts = append(parts, l.entries[key])
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// gone begins the line of an entry that is left out, in lock.txt.
const gone = "gone: "

// change leaves out and adds what lock.txt says.
func (l lock) change(changes string) error {
	for part := range strings.SplitSeq(strings.TrimSpace(changes), "\n\n") {
		if strings.HasPrefix(part, "#") {
			continue
		}
		if list, ok := strings.CutPrefix(part, gone); ok {
			for key := range strings.SplitSeq(list, "\n"+gone) {
				if _, ok := l.entries[key]; !ok {
					return fmt.Errorf("yarn.lock has no entry %s, which scripts/uisource/lock.txt leaves out", key)
				}
				delete(l.entries, key)
			}
			continue
		}
		key, _, _ := strings.Cut(part, "\n")
		if _, ok := l.entries[key]; ok {
			return fmt.Errorf("yarn.lock has an entry %s, which scripts/uisource/lock.txt adds", key)
		}
		l.entries[key] = part
	}
	return nil
}

// changesTo is the text that makes another lock file of this one.
func (l lock) changesTo(other lock) string {
	out := []string{"# Entries of yarn.lock that the page is built without and with. Written by scripts/ui.sh lock."}
	var left []string
	for _, key := range slices.Sorted(maps.Keys(l.entries)) {
		if l.entries[key] != other.entries[key] {
			left = append(left, gone+key)
		}
	}
	if left != nil {
		out = append(out, strings.Join(left, "\n"))
	}
	for _, key := range slices.Sorted(maps.Keys(other.entries)) {
		if l.entries[key] != other.entries[key] {
			out = append(out, other.entries[key])
		}
	}
	return strings.Join(out, "\n\n") + "\n"
}
