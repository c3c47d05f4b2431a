// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// sources are the directories with code.
var sources = []string{"host", "plugin", "shared", "integration", "scripts", "docs", "deploy"}

// widest is how many columns a line of a document or of a comment may have.
const widest = 120

// read returns a file's text.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// glob returns the files that match any of the patterns.
func glob(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		all = append(all, found...)
	}
	require.NotEmpty(t, all)
	return all
}

var (
	adrTitle   = regexp.MustCompile(`^# (\d{4}): \S`)
	adrDate    = regexp.MustCompile(`(?m)^- Date: \d{4}-\d{2}-\d{2}$`)
	adrStatus  = regexp.MustCompile(`(?m)^- Status: (Accepted|Superseded by \[\d{4}\]\(\S+\.md\))`)
	superseded = regexp.MustCompile(`(?m)^- Status: Superseded by \[(\d{4})\]`)

	docLink     = regexp.MustCompile(`\]\(([^):\s]+)\)`)
	docHeading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	testFunc    = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	testName    = regexp.MustCompile("`(Test[A-Z]\\w+)`")
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestEveryDecisionHasDateStatusAndRow says which decision a reader could not place.
func TestEveryDecisionHasDateStatusAndRow(t *testing.T) {
	t.Parallel()
	table := read(t, "adr/README.md")
	for _, path := range glob(t, "adr/[0-9]*.md") {
		name := filepath.Base(path)
		text := read(t, path)
		number := name[:4]
		if title := adrTitle.FindStringSubmatch(text); title == nil || title[1] != number {
			t.Errorf("%s does not begin with \"# %s: \" and its title", path, number)
		}
		if !adrDate.MatchString(text) {
			t.Errorf("%s has no line \"- Date: YYYY-MM-DD\"", path)
		}
		if !adrStatus.MatchString(text) {
			t.Errorf("%s has no line \"- Status: Accepted\" or \"- Status: Superseded by [NNNN](NNNN-name.md)\"", path)
		}
		_, row, found := strings.Cut(table, "| ["+number+"]("+name+") |")
		if !found {
			t.Errorf("adr/README.md has no row for %s", name)
		}
		row, _, _ = strings.Cut(row, "\n")
		if by := superseded.FindStringSubmatch(text); by != nil && !strings.Contains(row, "superseded by "+by[1]) {
			t.Errorf("the row of %s in adr/README.md does not say that it is superseded by %s", number, by[1])
		}
	}
}

// TestLinksLead finds a link to a file or heading that is not there.
func TestLinksLead(t *testing.T) {
	t.Parallel()
	for _, path := range glob(t, "*.md", "adr/*.md", "benchmarks/*.md", "../*.md") {
		for _, link := range docLink.FindAllStringSubmatch(read(t, path), -1) {
			file, anchor, _ := strings.Cut(link[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", path, link[1])
			} else if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s links to %s, which has no such heading", path, link[1])
			}
		}
	}
}

// anchors are the headings of a document in the form in which a link names them.
func anchors(text string) []string {
	var all []string
	for _, heading := range docHeading.FindAllStringSubmatch(text, -1) {
		plain := strings.ToLower(notInAnchor.ReplaceAllString(heading[1], ""))
		all = append(all, strings.ReplaceAll(plain, " ", "-"))
	}
	return all
}

// TestLinesOfDocumentsAreNarrow leaves out what cannot be wrapped: rows of tables, and commands and their output.
func TestLinesOfDocumentsAreNarrow(t *testing.T) {
	t.Parallel()
	for _, path := range glob(t, "*.md", "adr/*.md", "benchmarks/*.md", "../*.md") {
		fenced := false
		for i, line := range strings.Split(read(t, path), "\n") {
			trimmed := strings.TrimSpace(line)
			if strings.HasPrefix(trimmed, "```") {
				fenced = !fenced
			}
			if fenced || strings.HasPrefix(trimmed, "|") {
				continue
			}
			if n := utf8.RuneCountInString(line); n > widest {
				t.Errorf("%s:%d has %d columns: wrap it at %d", path, i+1, n, widest)
			}
		}
	}
}

// TestGlossaryNamesCode finds a name that was changed and is still in the last column of the glossary.
func TestGlossaryNamesCode(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile("\\| `((?:host|plugin|shared)/[\\w/]+)(?:\\.(\\w+))?` \\|(?m:$)").FindAllStringSubmatch(
		read(t, "glossary.md"), -1)
	require.NotEmpty(t, named)
	for _, n := range named {
		files, err := filepath.Glob("../" + n[1] + "/*.go")
		require.NoError(t, err)
		declares := regexp.MustCompile(`(?m)^(\t|(type|func|var|const) (\([^)]*\) )?)` + n[2] + `\b`)
		if !slices.ContainsFunc(files, func(file string) bool { return declares.MatchString(read(t, file)) }) {
			t.Errorf("glossary.md names %s.%s: it is not there, name what the code has now", n[1], n[2])
		}
	}
}

// TestTestsThatDocumentsNameExist keeps the proof of a claim from getting lost when a test is renamed.
func TestTestsThatDocumentsNameExist(t *testing.T) {
	t.Parallel()
	exist := map[string]bool{}
	for _, dir := range sources {
		require.NoError(t, fs.WalkDir(os.DirFS(".."), dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, "_test.go") {
				for _, test := range testFunc.FindAllStringSubmatch(read(t, filepath.Join("..", path)), -1) {
					exist[test[1]] = true
				}
			}
			return err
		}))
	}
	for _, path := range glob(t, "*.md", "adr/*.md", "benchmarks/*.md", "../*.md") {
		for _, test := range testName.FindAllStringSubmatch(read(t, path), -1) {
			if !exist[test[1]] {
				t.Errorf("%s names %s, which no file declares", path, test[1])
			}
		}
	}
}

// TestCommentsAreNarrow counts a tab as one column. A directive cannot be wrapped.
func TestCommentsAreNarrow(t *testing.T) {
	t.Parallel()
	for _, dir := range sources {
		require.NoError(t, fs.WalkDir(os.DirFS(".."), dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".pb.go") {
				return err
			}
			for i, line := range strings.Split(read(t, filepath.Join("..", path)), "\n") {
				trimmed := strings.TrimLeft(line, "\t")
				comment := strings.HasPrefix(trimmed, "//") && !strings.HasPrefix(trimmed, "//go:")
				if n := utf8.RuneCountInString(line); comment && n > widest {
					t.Errorf("%s:%d is a comment of %d columns: wrap it at %d", path, i+1, n, widest)
				}
			}
			return nil
		}))
	}
}

// TestCompatibilityNamesTheVaultThatIsLinked says what a raise of Vault has left out.
func TestCompatibilityNamesTheVaultThatIsLinked(t *testing.T) {
	t.Parallel()
	mod := read(t, filepath.Join("..", "go.mod"))
	of := func(module string) string {
		found := regexp.MustCompile(`(?m)^\t` + regexp.QuoteMeta(module) + ` v(\S+)`).FindStringSubmatch(mod)
		require.NotNil(t, found, module)
		return found[1]
	}
	require.Contains(t, read(t, "compatibility.md"), fmt.Sprintf("Vault **%s** with sdk v%s",
		of("github.com/hashicorp/vault"), of("github.com/hashicorp/vault/sdk")))
}

// TestMetricsAreDocumented finds a name of the rules or of the dashboard that monitoring.md does not explain.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	text := read(t, "monitoring.md")
	for _, path := range glob(t, "monitoring/*") {
		names := regexp.MustCompile(`vault_(?:replication|logshipper)_\w+`).FindAllString(read(t, path), -1)
		require.NotEmpty(t, names, path)
		for _, name := range names {
			require.Contains(t, text, "`"+strings.TrimSuffix(name, "_count")+"`", path)
		}
	}
}
