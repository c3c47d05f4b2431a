// SPDX-License-Identifier: MPL-2.0

// Package transcript reads what a document shows of a terminal, its ```console blocks, and
// compares what such a block shows with what a terminal has printed.
package transcript

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Step is a command of a document with what it prints.
type Step struct {
	File    string
	Line    int    // of the command, from 1
	Section string // the heading above it
	Prompt  string // whose terminal it is: "A" for "A$ ", "" for "$ "
	Command string // with its further lines
	Output  []string
}

func (s *Step) String() string { return fmt.Sprintf("%s:%d", s.File, s.Line) }

var (
	prompt  = regexp.MustCompile(`^(\w*)\$ (.*)$`)
	heredoc = regexp.MustCompile(`<<'?(\w+)'?$`)
)

// Read returns the steps of a document in its order.
func Read(file string) ([]*Step, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var (
		steps   []*Step
		section string
		in      bool   // inside a block
		indent  string // of the block, which may be in a list
		end     string // what ends the command that is being read: "\" for a line without it
	)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		bare := strings.TrimSpace(line)
		switch {
		case !in && strings.HasPrefix(line, "#"):
			section = strings.TrimSpace(strings.TrimLeft(line, "#"))
		case !in && bare == "```console":
			in = true
			indent, _, _ = strings.Cut(line, "`")
		case in && bare == "```":
			in = false
			if end != "" {
				return nil, fmt.Errorf("%s:%d: the block ends inside a command", file, n)
			}
		case in:
			line = strings.TrimPrefix(line, indent)
			if m := prompt.FindStringSubmatch(line); m != nil && end == "" {
				steps = append(steps, &Step{File: file, Line: n, Section: section, Prompt: m[1], Command: m[2]})
				end = commandEnd(m[2])
				continue
			}
			if len(steps) == 0 {
				return nil, fmt.Errorf("%s:%d: output before the first command", file, n)
			}
			step := steps[len(steps)-1]
			switch {
			case end == "":
				step.Output = append(step.Output, line)
				continue
			case end == `\`:
				end = commandEnd(line)
			case bare == end:
				end = ""
			}
			step.Command += "\n" + line
		}
	}
	return steps, lines.Err()
}

// commandEnd is what the last line of a command is, if this is not it.
func commandEnd(line string) string {
	if strings.HasSuffix(line, `\`) {
		return `\`
	}
	if m := heredoc.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}
