// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// What stands between these lines of a page is made by this command.
const (
	begin = "<!-- made by go run ./integration/bench/page: begin -->"
	end   = "<!-- made by go run ./integration/bench/page: end -->"
)

const notYet = "No run in this form has been made yet.\n"

// replace puts a text between the two lines of a page.
func replace(page, text string) (string, error) {
	before, rest, ok := strings.Cut(page, begin+"\n")
	_, after, ends := strings.Cut(rest, end+"\n")
	if !ok || !ends {
		return "", errors.New("the lines between which the tables stand are not there")
	}
	return before + begin + "\n\n" + text + "\n" + end + "\n" + after, nil
}

// short is for the first page.
func (n newest) short() string {
	if n.goals == nil {
		return notYet
	}
	return n.goals.Short() + "\n" + wrap(n.goals.Origin()+": "+n.goals.Summary()+".")
}

// long has all rows and the plots.
func (n newest) long() string {
	if n.goals == nil && n.sizes == nil {
		return notYet
	}
	var s strings.Builder
	if r := n.goals; r != nil {
		s.WriteString(wrap(fmt.Sprintf("%s: %s. The raw numbers are in [%s](%s).", r.Origin(), r.Summary(),
			filepath.Base(n.goalsFile), "benchmarks/"+filepath.Base(n.goalsFile))))
		s.WriteString("\n" + r.Table())
	}
	if r := n.sizes; r != nil {
		s.WriteString("\n" + wrap(fmt.Sprintf("How figures grow: %s. The raw numbers are in [%s](%s).", r.Origin(),
			filepath.Base(n.sizesFile), "benchmarks/"+filepath.Base(n.sizesFile))))
		s.WriteString("\n" + r.Table())
	}
	for _, one := range n.series() {
		s.WriteString("\n" + wrap(one.What) + fmt.Sprintf("\n![%s](benchmarks/%s.svg)\n", one.ID, one.ID))
	}
	return s.String()
}

// wrap breaks a paragraph, as all documents of the project are.
func wrap(text string) string {
	const widest = 118
	var s strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
		case column+1+n > widest:
			s.WriteString("\n")
			column = 0
		default:
			s.WriteString(" ")
			column++
		}
		s.WriteString(word)
		column += n
	}
	return s.String() + "\n"
}
