// SPDX-License-Identifier: MPL-2.0

package stored

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// alike are keys whose values may be the same on two clusters, with the reason: they are
// written without encryption and without anything random.
var alike = map[string]string{
	"sys/uiconfig_plaintext": "each core's own copy of a shared key",
	"core/seal-config":       "numbers of shares, read before anything can be decrypted",
}

// Compare says what is wrong with what a performance primary and its secondary have stored
// once the secondary has caught up. settling are differences of shared keys, which a write
// in the background may cause for a moment. The others must never be there.
func Compare(primary, secondary *Store) (problems, settling []string) {
	keys := maps.Clone(primary.Values)
	maps.Copy(keys, secondary.Values)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		here, there := primary.Values[key], secondary.Values[key]
		_, onPrimary := primary.Values[key]
		_, onSecondary := secondary.Values[key]
		class, ok := classOf(key, primary, secondary, onPrimary, onSecondary)
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s: has %s", key, class))
		case class == keyclass.Shared.String():
			switch {
			case !onSecondary:
				settling = append(settling, key+": shared, and the secondary does not have it")
			case !onPrimary:
				settling = append(settling, key+": shared, and only the secondary has it")
			case !bytes.Equal(here, there):
				settling = append(settling, key+": shared, and its values differ")
			}
		case onPrimary && onSecondary && bytes.Equal(here, there) && alike[key] == "":
			problems = append(problems, fmt.Sprintf("%s: %s, and both clusters have the same value", key, class))
		}
	}
	return problems, settling
}

// classOf is the class of a key where it is stored; ok is false when it has none, or
// two.
func classOf(key string, primary, secondary *Store, onPrimary, onSecondary bool) (class string, ok bool) {
	p, s := primary.Classes.Class(key), secondary.Classes.Class(key)
	switch {
	case onPrimary && p == keyclass.Unknown:
		return "no class on the primary", false
	case onSecondary && s == keyclass.Unknown:
		return "no class on the secondary", false
	case onPrimary && onSecondary && p != s:
		return fmt.Sprintf("two classes: %s on the primary, %s on the secondary", p, s), false
	case onPrimary:
		return p.String(), true
	}
	return s.String(), true
}
