// SPDX-License-Identifier: MPL-2.0

// Command release has the parts of scripts/release.sh that a shell is not good at: it collects the licences of all
// that is linked, and packs the archive.
package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vault-replication/vault-replication/scripts/archive"
)

const usage = `usage: release licences DIR BINARY…         copy the licences of all modules in the binaries to DIR
       release archive DIR NAME TIME FILE   pack DIR as FILE, below a folder NAME, with the TIME of RFC 3339`

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) > 2 && args[0] == "licences":
		return licencesOf(ctx, args[1], args[2:])
	case len(args) == 5 && args[0] == "archive":
		return pack(args[1], args[2], args[3], args[4])
	}
	return errors.New(usage)
}

// pack leaves no part of an archive when it fails.
func pack(dir, name, when, file string) (err error) {
	at, err := time.Parse(time.RFC3339, when)
	if err != nil {
		return err
	}
	part := file + ".part"
	out, err := os.Create(part)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part) }()
	err = archive.Write(out, dir, name, at, gzip.BestCompression)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(part, file)
}
