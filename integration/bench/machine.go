// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
)

// thisMachine says what the figures depend on. What cannot be read is left out.
func thisMachine() figures.Machine {
	m := figures.Machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	m.Kernel = firstField("/proc/sys/kernel/osrelease")
	m.Load = firstField("/proc/loadavg")
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, of, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.Processor = strings.TrimSpace(of)
			break
		}
	}
	return m
}

func firstField(file string) string {
	raw, _ := os.ReadFile(file)
	if fields := strings.Fields(string(raw)); len(fields) > 0 {
		return fields[0]
	}
	return ""
}

// revision is the commit of the folder that bench runs in, and whether files differ from it. Both
// are empty where there is no repository.
func revision(ctx context.Context) (commit string, modified bool) {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "", false
	}
	changes, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output()
	return strings.TrimSpace(string(out)), err != nil || len(changes) > 0
}
