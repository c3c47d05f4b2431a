// SPDX-License-Identifier: MPL-2.0

package figures

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Kind is which benchmark a run is of.
type Kind string

// The kinds: the table of goals, and how figures grow with size.
const (
	Goals Kind = "bench"
	Sizes Kind = "size"
)

// Run is all that one run has measured.
type Run struct {
	Kind Kind      `json:"kind"`
	Date time.Time `json:"date"`
	// Commit is what was measured; Modified says that files differed from it.
	Commit   string `json:"commit"`
	Modified bool   `json:"modified,omitempty"`
	// Command is how it was started.
	Command string   `json:"command"`
	Machine Machine  `json:"machine"`
	Rows    []Row    `json:"rows,omitempty"`
	Series  []Series `json:"series,omitempty"`
}

// Machine is what figures depend on.
type Machine struct {
	Cores     int    `json:"cores"`
	Processor string `json:"processor,omitempty"`
	Kernel    string `json:"kernel,omitempty"`
	Go        string `json:"go"`
	// Load is the machine's load average when the run began.
	Load string `json:"load,omitempty"`
}

func (m Machine) String() string {
	text := fmt.Sprintf("%d cores, %s", m.Cores, m.Go)
	if m.Processor != "" {
		text += ", " + m.Processor
	}
	if m.Load != "" {
		text += ", load " + m.Load + " at the start"
	}
	return text
}

// Series are lines of one plot.
type Series struct {
	ID string `json:"id"`
	// What is a sentence that says what the plot shows.
	What string `json:"what"`
	X    Axis   `json:"x"`
	Y    Axis   `json:"y"`
	// Lines are at least one.
	Lines []Line `json:"lines"`
}

// Axis is a name with a unit.
type Axis struct {
	Name string `json:"name"`
	Unit Unit   `json:"unit"`
	// Log is for sizes that grow by factors.
	Log bool `json:"log,omitempty"`
}

// Line is a line of a plot.
type Line struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Point is x and y.
type Point [2]float64

// FileName is by date and commit, so that runs stand in their order.
func (r *Run) FileName() string {
	commit := r.Commit
	if commit == "" {
		commit = "unknown"
	}
	if r.Modified {
		commit += "-modified"
	}
	return fmt.Sprintf("%s-%s-%s.json", r.Date.UTC().Format("2006-01-02-1504"), commit, r.Kind)
}

// Write writes the run to a folder and returns the file.
func (r *Run) Write(dir string) (string, error) {
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, r.FileName())
	return file, os.WriteFile(file, append(raw, '\n'), 0o644)
}

// Read reads a run.
func Read(file string) (*Run, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r Run
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &r, nil
}

// Newest is the last run of a kind in a folder, with its file. Without any it returns nil.
func Newest(dir string, kind Kind) (*Run, string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	last := ""
	for _, e := range entries { // in the order of their names, which begin with the date
		if strings.HasSuffix(e.Name(), "-"+string(kind)+".json") {
			last = filepath.Join(dir, e.Name())
		}
	}
	if last == "" {
		return nil, "", nil
	}
	r, err := Read(last)
	return r, last, err
}
