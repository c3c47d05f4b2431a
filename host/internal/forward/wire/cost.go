// SPDX-License-Identifier: MPL-2.0

package wire

import "errors"

// How much memory a message may take, in bytes. A small message may take a fixed amount, a
// large one an amount in proportion to its size. An element of a list has two bytes on the
// link and fifty times as many in memory.
const (
	costBase   = 16 << 20
	costFactor = 8
	nestingMax = 3 * depthMax // a value may have a tag and a type around it

	costValue     = 64
	costEntry     = 128 // of an object
	costContainer = 128
)

// errCostly is the error of a message that would become far larger than it is.
var errCostly = errors.New("it has so many or so deeply nested values that it would take many times its size in " +
	"memory: send fewer in a request")

// affordable looks at JSON before it is decoded. It accepts what is no JSON: the parser
// refuses that.
func affordable(raw []byte) error {
	left := costBase + costFactor*len(raw)
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			left -= costContainer
		case '}', ']':
			depth--
		case ',':
			left -= costValue
		case ':':
			left -= costEntry
		}
		if left < 0 || depth > nestingMax {
			return errCostly
		}
	}
	return nil
}
