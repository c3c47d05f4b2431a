// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/integration/bench/anchor"
	"github.com/vault-replication/vault-replication/integration/bench/figures"
)

const postgreSQL = "PostgreSQL"

// anchors are measured first, so that they can stand beside the rows that they are for.
func (b *bench) anchors(ctx context.Context) error {
	if err := b.bareRaft(ctx); err != nil {
		return err
	}
	return b.postgresLag(ctx)
}

// bareRaft makes the transactions of a first copy on Vault's raft storage alone.
func (b *bench) bareRaft(ctx context.Context) error {
	progress("bare raft: the transactions of a first copy of %d entries", b.entries)
	dir, err := os.MkdirTemp("", "vault-bench-raft-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // a leftover folder is no reason to fail
	r, err := anchor.OpenRaft(ctx, dir)
	if err != nil {
		return err
	}
	took, err := r.Copy(ctx, b.entries)
	if err != nil {
		return err
	}
	b.raft = rate(float64(b.entries) / took.Seconds())
	b.add(figures.Row{ID: idRaftCopy,
		What: fmt.Sprintf("%d entries of 512 bytes in the transactions of a first copy on bare "+
			"raft, 16 of 448 KiB under way", b.entries), Beside: []figures.Side{{Who: "bare raft", Values: b.raft}}})
	row := figures.Row{ID: idRaftWrites,
		What: "writes on bare raft, 16 callers, and with a row of a journal in each transaction",
		Raw:  map[string][]float64{}}
	for _, w := range []struct {
		who     string
		withRow bool
	}{{"bare raft", false}, {"bare raft with rows", true}} {
		var turns []float64
		for range b.rounds {
			perSecond, err := r.Write(ctx, 16, w.withRow, b.round)
			if err != nil {
				return err
			}
			turns = append(turns, perSecond)
		}
		row.Beside = append(row.Beside, figures.Side{Who: w.who, Values: rate(figures.Median(turns))})
		row.Raw[w.who+", /s"] = turns
	}
	b.add(row)
	return r.Close()
}

// postgresLag probes a PostgreSQL pair as the pairs of this build are probed.
func (b *bench) postgresLag(ctx context.Context) error {
	progress("lag of a PostgreSQL pair at %d writes a second", lagRate)
	row := figures.Row{ID: idPostgreSQL,
		What: fmt.Sprintf("lag of PostgreSQL streaming replication at %d commits/s, answer "+
			"on the primary to readable on the standby", lagRate)}
	pair, err := anchor.OpenPair(ctx)
	if err != nil {
		row.Skipped = err.Error()
		b.add(row)
		return nil
	}
	defer pair.Close()
	lags, err := pair.Lag(ctx, anchor.Load{Rate: lagRate, Writers: lagWriters, Keys: keySpace, ProbeEvery: lagProbe,
		Duration: b.lagFor})
	if err != nil {
		return err
	}
	numbers := figures.InSeconds(lags)
	b.postgres = figures.Lags(numbers)
	row.Notes = []string{fmt.Sprintf("%d probes", len(lags)),
		"PostgreSQL shows a row before its standby has synced it, this build after"}
	row.Beside = []figures.Side{{Who: postgreSQL, Values: b.postgres}}
	row.Raw = map[string][]float64{postgreSQL + " lags, s": numbers}
	b.add(row)
	return nil
}

// besidePostgreSQL puts the lag of the other pair of this run into a row.
func (b *bench) besidePostgreSQL(r *figures.Row) {
	if b.postgres != nil {
		r.Beside = append(r.Beside, figures.Side{Who: postgreSQL, Values: b.postgres})
	}
}

// snapshot saves and restores a raft snapshot of the stock server, with what the first copy has.
func (b *bench) snapshot(ctx context.Context) error {
	progress("raft snapshot of stock Vault with %d entries", b.entries)
	if err := fill(ctx, b.plain, b.entries); err != nil {
		return err
	}
	client := b.plain.Node(0).APIClient()
	var saved bytes.Buffer
	started := time.Now()
	if err := client.Sys().RaftSnapshotWithContext(ctx, &saved); err != nil {
		return err
	}
	save := time.Since(started)
	// What is written after the snapshot is gone once it is restored.
	if _, err := client.Logical().WriteWithContext(ctx, "bench/after-snapshot", value); err != nil {
		return err
	}
	size := saved.Len()
	started = time.Now()
	if err := client.Sys().RaftSnapshotRestoreWithContext(ctx, &saved, false); err != nil {
		return err
	}
	answered := time.Since(started)
	if err := gone(ctx, client, "bench/after-snapshot"); err != nil {
		return err
	}
	restore := time.Since(started)
	entries := float64(b.entries)
	b.snapshots = []figures.Value{{Name: "save", Number: entries / save.Seconds(), Unit: figures.PerSecond},
		{Name: "restore", Number: entries / restore.Seconds(), Unit: figures.PerSecond}}
	b.add(figures.Row{ID: idSnapshot,
		What: fmt.Sprintf("`raft snapshot` save and restore of stock Vault with %d entries of "+
			"512 bytes, command to serving what was restored", b.entries),
		Notes: []string{fmt.Sprintf("file of %d MiB", size>>20),
			fmt.Sprintf("restore answered after %s and went on, 5 s of it a fixed pause of Vault's",
				answered.Round(10*time.Millisecond))},
		Beside: []figures.Side{{Who: stock, Values: []figures.Value{
			{Name: "save", Number: save.Seconds(), Unit: figures.Seconds},
			{Name: "restore", Number: restore.Seconds(), Unit: figures.Seconds}}}},
		Raw: map[string][]float64{"save, s": {save.Seconds()}, "restore answered, s": {answered.Seconds()},
			"restore, s": {restore.Seconds()}},
	})
	return nil
}

// gone waits until a server that restores something serves again, without a secret that it had before.
func gone(ctx context.Context, client *api.Client, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		secret, err := client.Logical().ReadWithContext(ctx, path)
		if err == nil && secret == nil {
			return nil
		}
		if err != nil && !passes(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is still there: %w", path, ctx.Err())
		case <-time.After(statusEvery):
		}
	}
}

// passes says whether an error is one of a server that is about to serve.
func passes(err error) bool {
	answer, ok := errorAs[*api.ResponseError](err)
	return ok && (answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests)
}
