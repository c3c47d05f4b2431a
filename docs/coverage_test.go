// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// coverageRow is a row of coverage.md: its name, whether it is built, and its tests.
var coverageRow = regexp.MustCompile(`(?m)^\| ([^|]+) \| (yes|part|no) \| [^|]*\|([^|]*)\|$`)

// TestEveryRowOfCoverageHasItsTest finds what is said to be built and has no test, and a row that was dropped. That
// the tests exist is checked for all documents.
func TestEveryRowOfCoverageHasItsTest(t *testing.T) {
	t.Parallel()
	text := read(t, "coverage.md")
	rows := map[string]string{}
	for _, row := range coverageRow.FindAllStringSubmatch(text, -1) {
		require.NotContains(t, rows, row[1], "twice")
		rows[row[1]] = row[2]
		if tested := testName.MatchString(row[3]); tested == (row[2] == "no") {
			t.Errorf("row %q of coverage.md is %q, and its tests are %q", row[1], row[2], strings.TrimSpace(row[3]))
		}
	}
	lines := len(regexp.MustCompile(`(?m)^\|`).FindAllString(text, -1))
	headings := 2 * len(regexp.MustCompile(`(?m)^\|---`).FindAllString(text, -1))
	require.Equal(t, lines-headings, len(rows), "each row says yes, part or no")
	for prefix, last := range map[string]int{"O": 15, "F": 6} {
		for i := range last {
			require.Contains(t, rows, fmt.Sprintf("%s%d", prefix, i+1))
		}
	}
	left := read(t, "compatibility.md")
	for row, built := range rows {
		if built == "no" {
			require.Contains(t, left, "| "+row+" |", "compatibility.md says why it is left out")
		}
	}
}
