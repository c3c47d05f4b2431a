// SPDX-License-Identifier: MPL-2.0

package differential

// Sections are all requests, in the order in which they are sent.
func Sections() []Section {
	return []Section{
		{"key-value version 1", keyValue1()},
		{"key-value version 2", keyValue2()},
		{"cubbyhole", cubbyhole()},
	}
}
