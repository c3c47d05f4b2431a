// SPDX-License-Identifier: MPL-2.0

package transcript

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/creack/pty"
)

// Player types the commands of a document into terminals, and holds the document to what they
// print. For one goroutine.
type Player struct {
	// Steps are those of the document that were not played yet.
	Steps []*Step
	// Terminals has the environment of each prompt.
	Terminals map[string][]string
	// Dir is where the commands run.
	Dir string
	// Names are pairs: a name of the document, what it is here. The commands get the second, what they print is
	// read as if it had the first. The first of a pair is not a part of one that comes later.
	Names []string
	// Known are values that the document does not show when they are printed: how it writes them later, and
	// what finds one in any output, as its first group.
	Known map[string]*regexp.Regexp
	// Limit bounds how long a command that only reads is repeated until it prints what the document shows.
	Limit time.Duration
	// Log gets what is typed and printed.
	Log func(format string, args ...any)

	values map[string]string
}

// Value is how the document writes a value from now on, and what it is.
func (p *Player) Value(shown, real string) {
	if p.values == nil {
		p.values = map[string]string{}
	}
	p.values[shown] = real
}

// Section plays the next steps of a section that were not played, all of them without a number.
func (p *Player) Section(ctx context.Context, section string, number ...int) error {
	var of []*Step
	for _, s := range p.Steps {
		if s.Section == section {
			of = append(of, s)
		}
	}
	if len(number) > 0 && number[0] <= len(of) {
		of = of[:number[0]]
	}
	if len(of) == 0 {
		return fmt.Errorf("no step is left of the section %q", section)
	}
	for _, s := range of {
		if err := p.play(ctx, s, ""); err != nil {
			return fmt.Errorf("%v: $ %s\n%w", s, s.Command, err)
		}
	}
	return nil
}

// Answer plays the next step of a section once for each answer, which it gives at the terminal when it is asked.
// The document shows what the last one leads to.
func (p *Player) Answer(ctx context.Context, section string, answers ...string) error {
	i := slices.IndexFunc(p.Steps, func(s *Step) bool { return s.Section == section })
	if i < 0 {
		return fmt.Errorf("no step is left of the section %q", section)
	}
	last := p.Steps[i]
	other := *last
	other.Output = nil
	for n, answer := range answers {
		s := &other
		if n == len(answers)-1 {
			s = last
		}
		if err := p.play(ctx, s, answer); err != nil {
			return fmt.Errorf("%v: $ %s\n%w", s, s.Command, err)
		}
	}
	return nil
}

func (p *Player) play(ctx context.Context, s *Step, answer string) error {
	env, ok := p.Terminals[s.Prompt]
	if !ok {
		return fmt.Errorf("nobody has the prompt %q", s.Prompt)
	}
	command, err := p.command(s)
	if err != nil {
		return err
	}
	if name, value, ok := variable(command); ok {
		env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, name+"=") })
		if value != "" {
			env = append(env, name+"="+value)
		}
		p.Terminals[s.Prompt] = env
		p.played(s)
		return nil
	}
	once := func() error {
		printed, err := p.run(ctx, env, command, answer)
		p.Log("%s$ %s\n%s", s.Prompt, command, printed)
		printed = strings.NewReplacer(p.backwards()...).Replace(printed)
		if err != nil && !strings.HasPrefix(command, "curl ") {
			return fmt.Errorf("%w, and it printed:\n%s", err, printed)
		}
		values, err := Compare(s.Output, printed)
		if err != nil {
			return err
		}
		for shown, real := range values {
			p.Value(shown, real)
		}
		for shown, find := range p.Known {
			if m := find.FindStringSubmatch(printed); m != nil {
				p.Value(shown, m[1])
			}
		}
		return nil
	}
	if reads.MatchString(command) {
		wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond),
			backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(p.Limit))
		err = backoff.Retry(once, backoff.WithContext(wait, ctx))
	} else {
		err = once()
	}
	if err == nil {
		p.played(s)
	}
	return err
}

// reads are the commands that change nothing: they come to what the document shows by waiting.
var reads = regexp.MustCompile(`^(vault (read|token lookup|kv get) |vault operator raft list-peers|curl |vault-replication replication (status|plan))`)

var export = regexp.MustCompile(`^(?:export (\w+)=(\S*)|unset (\w+))\s*(#.*)?$`)

// variable is a command that sets or removes a variable of its terminal.
func variable(command string) (name, value string, ok bool) {
	m := export.FindStringSubmatch(command)
	if m == nil {
		return "", "", false
	}
	return m[1] + m[3], m[2], true
}

func (p *Player) played(s *Step) {
	p.Steps = slices.DeleteFunc(p.Steps, func(x *Step) bool { return x == s })
}

// command is what is typed: with the names and values of here.
func (p *Player) command(s *Step) (string, error) {
	command := strings.NewReplacer(p.Names...).Replace(s.Command)
	shown := make([]string, 0, len(p.values))
	for name := range p.values {
		shown = append(shown, name)
	}
	slices.SortFunc(shown, func(a, b string) int { return len(b) - len(a) })
	for _, name := range shown {
		command = strings.ReplaceAll(command, name, p.values[name])
	}
	if strings.Contains(command, Gap) {
		return "", errors.New("a value of the command is not known")
	}
	return command, nil
}

func (p *Player) backwards() []string {
	back := slices.Clone(p.Names)
	slices.Reverse(back)
	return back
}

// run returns what a shell prints, at a terminal if there is something to answer.
func (p *Player) run(ctx context.Context, env []string, command, answer string) (string, error) {
	shell := exec.CommandContext(ctx, "bash", "-c", command)
	shell.Env, shell.Dir = env, p.Dir
	if answer == "" {
		out, err := shell.CombinedOutput()
		return string(out), err
	}
	terminal, err := pty.Start(shell)
	if err != nil {
		return "", err
	}
	defer terminal.Close()
	var out bytes.Buffer
	piece := make([]byte, 4096)
	for asked := false; ; {
		n, err := terminal.Read(piece)
		out.Write(piece[:n])
		if err != nil { // the terminal of a process that has ended is an input error
			break
		}
		if !asked && bytes.HasSuffix(out.Bytes(), []byte(": ")) {
			asked = true
			if _, err := io.WriteString(terminal, answer+"\n"); err != nil {
				return out.String(), err
			}
		}
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n"), shell.Wait()
}
