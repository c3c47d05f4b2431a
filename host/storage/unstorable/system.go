// SPDX-License-Identifier: MPL-2.0

package unstorable

import (
	"errors"
	"io/fs"
	"os"
)

// ofFile takes an error of the operating system for a refusal only if it is about a file: for sockets and devices the
// same numbers mean other things.
func ofFile(err error) *Refusal {
	var path *fs.PathError
	var link *os.LinkError
	if errors.As(err, &path) || errors.As(err, &link) {
		return &Refusal{Why: Form}
	}
	return nil
}

// stater is an error with a code of the SQL standard, as PostgreSQL's drivers have it.
type stater interface{ SQLState() string }

func sqlState(err error) string {
	var s stater
	if errors.As(err, &s) {
		return s.SQLState()
	}
	return ""
}

// ofState knows the codes about the data: class 54 for program limits, and in class 22 those for bytes outside of the
// database's encoding and for values too long for a column.
func ofState(state string, _ error) *Refusal {
	switch state {
	case "54000":
		// Only the index over the keys has a limit for a row; values have no index.
		return &Refusal{Why: Name, Setting: postgresSetting}
	case "22001":
		return &Refusal{Why: Name, Setting: "the width of the table's columns"}
	case "22021", "22P05":
		return &Refusal{Why: Form}
	}
	return nil
}
