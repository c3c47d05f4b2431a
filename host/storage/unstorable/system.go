// SPDX-License-Identifier: MPL-2.0

package unstorable

import (
	"errors"
	"io/fs"
	"os"
)

// ofFile takes an error of the operating system for a refusal only if a name was to
// blame: the same numbers say other things of sockets and devices.
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

// ofState knows the codes that speak of the data: class 54 of limits of the program, and
// those of class 22 of bytes that the database's encoding has not and of what does not
// fit a column.
func ofState(state string, _ error) *Refusal {
	switch state {
	case "54000":
		// The index of the keys has a limit for a row; a value has no index.
		return &Refusal{Why: Name, Setting: postgresSetting}
	case "22001":
		return &Refusal{Why: Name, Setting: "the width of the table's columns"}
	case "22021", "22P05":
		return &Refusal{Why: Form}
	}
	return nil
}
