// SPDX-License-Identifier: MPL-2.0

package transcript

import (
	"fmt"
	"regexp"
	"strings"
)

// Gap stands for what a document leaves out, in a line or in place of lines.
const Gap = "…"

// differing are values that differ from run to run. A document shows those of one run.
var differing = regexp.MustCompile(strings.Join([]string{
	`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, // a UUID
	`\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)`,                   // a time
	`(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?(?:ms|s)\b`,                    // a duration
	`\b[0-9a-f]{32,}\b`, // a hash
	`\d+`,               // a count
}, "|"))

var (
	status = regexp.MustCompile(`^\d{3}$`)
	space  = regexp.MustCompile(`\s+`)
	// shortened is a value that a document shows the beginning of: a token, a nonce.
	shortened = regexp.MustCompile(`[\w.-]{4,}` + Gap)
)

// Compare is an error if a line that a document shows was not printed. Lines are in order,
// others may be between them; values that differ from run to run do not count, nor does the width
// of columns. It returns the values that the document shortens, as they were printed.
func Compare(shown []string, printed string) (values map[string]string, err error) {
	values = map[string]string{}
	rest := strings.Split(printed, "\n")
	for _, line := range unwrap(shown) {
		if strings.TrimSpace(line) == Gap || strings.TrimSpace(line) == "" {
			continue
		}
		at, of := find(line, rest)
		if at < 0 {
			return nil, fmt.Errorf("the document shows the line\n%s\nit was not printed, or not in this place:\n%s", line,
				printed)
		}
		for name, value := range of {
			values[name] = value
		}
		rest = rest[at+1:]
	}
	return values, nil
}

// unwrap joins the lines of a document that go on in the column of values.
func unwrap(lines []string) (joined []string) {
	for _, line := range lines {
		if last := len(joined) - 1; last >= 0 && strings.HasPrefix(line, strings.Repeat(" ", 8)) {
			joined[last] += " " + strings.TrimSpace(line)
			continue
		}
		joined = append(joined, line)
	}
	return joined
}

// find is the first printed line that is as a document shows it, and the values that are shortened there.
func find(shown string, printed []string) (at int, values map[string]string) {
	pattern, names := pattern(shown)
	for at, line := range printed {
		m := pattern.FindStringSubmatch(plain(line))
		if m == nil {
			continue
		}
		values = map[string]string{}
		for i, name := range names {
			values[name] = m[i+1]
		}
		return at, values
	}
	return -1, nil
}

func plain(line string) string { return strings.TrimSpace(space.ReplaceAllString(line, " ")) }

// pattern matches the lines that a document's line stands for.
func pattern(shown string) (_ *regexp.Regexp, names []string) {
	shown = plain(shown)
	if status.MatchString(shown) {
		return regexp.MustCompile("^" + shown + "$"), nil
	}
	var b strings.Builder
	literal := func(text string) {
		last := 0
		for _, at := range differing.FindAllStringIndex(text, -1) {
			b.WriteString(regexp.QuoteMeta(text[last:at[0]]))
			value := text[at[0]:at[1]]
			if strings.Count(value, "-") == 4 {
				names = append(names, value)
				b.WriteString("(" + differing.String() + ")")
			} else {
				b.WriteString("(?:" + differing.String() + ")")
			}
			last = at[1]
		}
		b.WriteString(regexp.QuoteMeta(text[last:]))
	}
	for i, part := range splitShortened(shown) {
		if i%2 == 1 {
			names = append(names, part)
			b.WriteString(`(\S+)`)
			continue
		}
		for j, text := range strings.Split(part, Gap) {
			if j > 0 {
				b.WriteString(".*")
			}
			literal(text)
		}
	}
	return regexp.MustCompile("^" + b.String() + "$"), names
}

// splitShortened cuts a line so that each second part is a shortened value.
func splitShortened(line string) (parts []string) {
	last := 0
	for _, at := range shortened.FindAllStringIndex(line, -1) {
		// A word before a gap is text, a value has a number, a dot or mixed letters in it.
		if word := line[at[0] : at[1]-len(Gap)]; !strings.ContainsAny(word, "0123456789.") && strings.ToLower(word) == word {
			continue
		}
		parts = append(parts, line[last:at[0]], line[at[0]:at[1]])
		last = at[1]
	}
	return append(parts, line[last:])
}
