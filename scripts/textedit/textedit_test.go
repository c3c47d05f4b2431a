// SPDX-License-Identifier: MPL-2.0

package textedit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/scripts/textedit"
)

func TestAnEditSaysWhatItDoesNotFind(t *testing.T) {
	t.Parallel()
	edits := []textedit.Edit{{File: "a.go", Old: "func a()", New: "func b()", Why: "a is called b"}}
	changed, err := textedit.Apply(edits, "a.go", []byte("x\nfunc a() {}\n"))
	require.NoError(t, err)
	require.Equal(t, "x\nfunc b() {}\n", string(changed))
	same, err := textedit.Apply(edits, "b.go", []byte("func c()"))
	require.NoError(t, err)
	require.Equal(t, "func c()", string(same))
	for content, times := range map[string]string{"func c()": "0 times", "func a() func a()": "2 times"} {
		_, err := textedit.Apply(edits, "a.go", []byte(content))
		require.ErrorContains(t, err, `a.go has "func a()" `+times)
		require.ErrorContains(t, err, "a is called b")
	}
}

// What is made with other edits has another name: nothing else would notice that one has changed.
func TestIdentityFollowsEditsAndFiles(t *testing.T) {
	t.Parallel()
	added := map[string]string{"b.go": "package in\n"}
	seen := map[string]bool{}
	for _, e := range []textedit.Edit{
		{File: "a.go", Old: "old", New: "changed"}, {File: "b.go", Old: "old", New: "changed"},
		{File: "a.go", Old: "olds", New: "changed"}, {File: "a.go", Old: "old", New: "other"},
	} {
		seen[textedit.Identity([]textedit.Edit{e}, added)] = true
	}
	e := []textedit.Edit{{File: "a.go", Old: "old", New: "changed"}}
	seen[textedit.Identity(e, map[string]string{"b.go": "package in\n", "c.go": ""})] = true
	seen[textedit.Identity(e, map[string]string{"b.go": "package out\n"})] = true
	require.Len(t, seen, 6)
}
