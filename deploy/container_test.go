// SPDX-License-Identifier: MPL-2.0

package deploy

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// instruction is a line of a container file: its name, its flags and the rest.
var instruction = regexp.MustCompile(`^(ARG|FROM|COPY|ENV|RUN) ((?:--[a-z]+=\S+ )*)(\S.*)$`)

// released is what the folder of a release has at its root, by scripts/release.sh.
var released = []string{"vault-replication", "plugins/", "licences/", "SHA256SUMS", "LICENSE"}

// There is no engine where the tests run, so the lines are read here.
func TestContainerFileCopiesWhatIsReleased(t *testing.T) {
	t.Parallel()
	var order, copied []string
	for i, line := range strings.Split(strings.TrimSpace(read(t, "container/Containerfile")), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := instruction.FindStringSubmatch(line)
		require.NotNil(t, parts, "line %d is no instruction that is known here: %s", i+1, line)
		order = append(order, parts[1])
		if parts[1] == "COPY" {
			names := strings.Fields(parts[3])
			require.GreaterOrEqual(t, len(names), 2, line)
			copied = append(copied, names[:len(names)-1]...)
			require.Contains(t, parts[2], "--chown=root:root ", "the server must not be able to write to it")
		}
	}
	require.Equal(t, "FROM", order[slices.IndexFunc(order, func(s string) bool { return s != "ARG" })])
	require.ElementsMatch(t, released, copied)
	script := read(t, "../scripts/release.sh")
	for _, name := range released {
		require.Contains(t, script, strings.TrimSuffix(name, "/"))
	}
}

// The container file begins with the stock image of the linked version of Vault.
func TestContainerFileNamesTheVaultThatIsLinked(t *testing.T) {
	t.Parallel()
	linked := regexp.MustCompile(`(?m)^\tgithub.com/hashicorp/vault v(\S+)`).FindStringSubmatch(read(t, "../go.mod"))
	require.NotNil(t, linked)
	require.Contains(t, read(t, "container/Containerfile"), "ARG VAULT_VERSION="+linked[1]+"\n")
}
