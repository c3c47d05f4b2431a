// SPDX-License-Identifier: MPL-2.0

package transcript_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/transcript"
)

func read(t *testing.T, document string) []*transcript.Step {
	t.Helper()
	file := filepath.Join(t.TempDir(), "document.md")
	require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
	steps, err := transcript.Read(file)
	require.NoError(t, err)
	for _, s := range steps {
		s.File = "document.md"
	}
	return steps
}

func TestRead(t *testing.T) {
	t.Parallel()
	steps := read(t, `# A document

## A section

`+"```console"+`
A$ vault write x \
     y=z
key   value
…
$ cat - <<EOF
a$ b
EOF
`+"```"+`

- in a list

  `+"```console"+`
  eu$ vault read x
  answer
  `+"```"+`

`+"```bash"+`
A$ is of no console
`+"```"+`
`)
	require.Equal(t, []*transcript.Step{
		{File: "document.md", Line: 6, Section: "A section", Prompt: "A", Command: "vault write x \\\n     y=z",
			Output: []string{"key   value", "…"}},
		{File: "document.md", Line: 10, Section: "A section", Command: "cat - <<EOF\na$ b\nEOF"},
		{File: "document.md", Line: 18, Section: "A section", Prompt: "eu", Command: "vault read x",
			Output: []string{"answer"}},
	}, steps)
}

func TestReadRefusesWhatIsCut(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"```console\nno command\n```\n", "```console\n$ a \\\n```\n"} {
		file := filepath.Join(t.TempDir(), "document.md")
		require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
		_, err := transcript.Read(file)
		require.Error(t, err)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	printed := `Key               Value
---               -----
last_wal          4711
merkle_root       a0ddcc608c7c7e31b9bb6e4d282a25cce9aa5d49db3f3650b85e75cbc3182126
ttl               1h49m43s
heard             2026-11-23T00:33:12.073741526Z
last_error        the port a.example:8201 does not answer: check it
nonce             07a45c4f-60da-a154-4b89-d57c7167eda6
token             hvs.CAESIJ
`
	values, err := transcript.Compare([]string{
		"last_wal   21",
		"merkle_root  b0ddcc608c7c7e31b9bb6e4d282a25cce9aa5d49db3f3650b85e75cbc3182125",
		"ttl   2h3m4s",
		"heard   2025-01-02T03:04:05Z",
		"last_error   the port a.example:8201",
		"             does not answer: …",
		"nonce   11111111-2222-3333-4444-555555555555",
		"…",
		"token   hvs.AAAA…",
	}, printed)
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"hvs.AAAA…": "hvs.CAESIJ", "11111111-2222-3333-4444-555555555555": "07a45c4f-60da-a154-4b89-d57c7167eda6",
	}, values)

	for name, shown := range map[string][]string{
		"a word that differs":     {"last_error   the port a.example:8201 does not reply: …"},
		"a key that is not there": {"last_dr_wal   4711"},
		"another order":           {"ttl   1h49m43s", "last_wal   4711"},
		"a line that goes on":     {"last_error   the port"},
		"no number":               {"last_wal   many"},
	} {
		_, err := transcript.Compare(shown, printed)
		require.Error(t, err, name)
	}
}

// A status of HTTP is a number that says something.
func TestCompareHoldsAStatusToItsNumber(t *testing.T) {
	t.Parallel()
	_, err := transcript.Compare([]string{"200"}, "200")
	require.NoError(t, err)
	_, err = transcript.Compare([]string{"000"}, "200")
	require.Error(t, err)
}
