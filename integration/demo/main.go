// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// limit bounds the whole demo.
const limit = 3 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "folder of the built binaries")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	err := run(ctx, *bin)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nThe demo failed: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string) error {
	binary, err := filepath.Abs(filepath.Join(bin, "vault-replication"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(binary); err != nil {
		return errors.New("bin/vault-replication is not there: run make build first")
	}
	stage, err := newTheatre(ctx, binary)
	if err != nil {
		return err
	}
	defer stage.close()
	started := time.Now()
	for _, act := range []func(*theatre, context.Context) error{
		(*theatre).fill, (*theatre).connect, (*theatre).arrive, (*theatre).disaster, (*theatre).promote, (*theatre).goOn,
	} {
		if err := act(stage, ctx); err != nil {
			return err
		}
	}
	fmt.Printf("\nSUCCESS: the primary is dead, the secondary took over, and nothing was lost (%s).\n",
		time.Since(started).Round(time.Second))
	return nil
}
