// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// allocated is how much a call allocates, including what it frees again.
func allocated(do func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// most is how much a message of a size may allocate, including the garbage of parsing.
func most(size int) int { return 8 * (costBase + costFactor*size) }

// Not parallel: it counts what the process allocates.
func TestMessagesDoNotInflate(t *testing.T) {
	const mib = 1 << 20
	for name, unit := range map[string]string{
		"numbers": "1,", "lists": "[],", "objects": "{},", "strings": `"",`, "nulls": "null,", "tagged": `{"$":"int","v":1},`,
		"entries": `{"a":1},`,
	} {
		for _, size := range []int{mib, 8 * mib} {
			raw := []byte("\x01{\"Logical\":{\"Data\":{\"a\":[" + strings.Repeat(unit, size/len(unit)) + "1]}}}")
			grown := allocated(func() { _, _ = DecodeRequest(raw) })
			require.Less(t, grown, most(len(raw)), "%s, %d MiB take %d MiB", name, size/mib, grown/mib)
			answer := []byte("\x01{\"Response\":{\"Data\":{\"a\":[" + strings.Repeat(unit, size/len(unit)) + "1]}}}")
			grown = allocated(func() { _, _ = DecodeAnswer(answer) })
			require.Less(t, grown, most(len(answer)), "%s, %d MiB take %d MiB", name, size/mib, grown/mib)
		}
	}
	_, err := DecodeRequest([]byte("\x01{\"Logical\":{\"Data\":{\"a\":[" + strings.Repeat("1,", 8*mib) + "1]}}}"))
	require.ErrorIs(t, err, errCostly)
	_, err = DecodeRequest([]byte("\x01" + strings.Repeat("[", 2*nestingMax)))
	require.ErrorIs(t, err, errCostly)
}

// What clients send, a body of Vault's default limit of entries and size, is read.
func TestLargeRequestsAreRead(t *testing.T) {
	t.Parallel()
	entries, list := map[string]any{}, []any{}
	for i := range 10_000 {
		entries[fmt.Sprint(i)] = strings.Repeat("x", rand.IntN(100))
		list = append(list, i%10)
	}
	sent := &Request{Logical: &logical.Request{Data: map[string]any{"m": entries, "l": list,
		"s": strings.Repeat("\"", 1<<20), "b": make([]byte, 16<<20)}}}
	require.Len(t, transfer(t, sent).Logical.Data["m"], 10_000)
}

// A listener may take JSON that is nested deeper than Vault's default.
func TestDeepRequestsAreRead(t *testing.T) {
	t.Parallel()
	var list, object any = "list", "object"
	for range 900 {
		list, object = []any{list}, map[string]any{"$": object}
	}
	sent := &Request{Logical: &logical.Request{Data: map[string]any{"l": list, "o": object}}}
	require.Equal(t, sent.Logical.Data, transfer(t, sent).Logical.Data)
}
